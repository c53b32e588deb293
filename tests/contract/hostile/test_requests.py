"""Requests to nowhere, with methods and headers that nobody sends by accident."""

from __future__ import annotations

import json
import re

import pytest

from schemas import urns
from tests.contract.hostile.wire import USERS, Caller, Connection, compact, not_parsed, refused, user
from tests.served import Service, unique


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/scim",
        "/scim/v2",
        "/scim/v2/",
        "/scim/v2//Users",
        "//scim/v2/Users",
        "/scim/v2/Users/",
        "/scim/v2/./Users",
        "/scim/../scim/v2/Users",
        "/scim/v2/Users/../../../etc/passwd",
        "/scim/v2/users",
        "/SCIM/V2/Users",
        "/scim/v2/Users/x/y",
        "/scim/v2/Groups",
        "/scim/v2/Outcomes",
        "/scim/v2/%55sers/x/y",
        "/metrics",
        "/admin",
        "/.git/config",
        "/scim/v2/Users;x=1",
        "/scim/v2/" + "a" * 7000,
        "/scim/v2/" + "%2F" * 2000,
        "/" + "a/" * 3500,
    ],
    ids=lambda target: target[:30],
)
def test_what_is_nowhere_is_404(hostile: Caller, target: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        refused(hostile.request(method, target, b"{}" if method == "POST" else None), 404)


@pytest.mark.parametrize("version", ["v1", "v3", "v22", "v2.1", "V9", "v2%20", "v0"])
def test_another_version_is_invalidVers(hostile: Caller, version: str) -> None:
    refused(hostile.request("GET", f"/scim/{version}/Users"), 400, "invalidVers")


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        (USERS, {"GET", "HEAD", "POST"}),
        (f"{USERS}/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("/scim/v2/ServiceProviderConfig", {"GET", "HEAD"}),
        ("/scim/v2/Schemas", {"GET", "HEAD"}),
        ("/scim/v2/Schemas/x", {"GET", "HEAD"}),
        ("/scim/v2/ResourceTypes", {"GET", "HEAD"}),
        ("/scim/v2/Outcomes/x", {"GET", "HEAD"}),
        ("/livez", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_is_not_there_is_405(hostile: Caller, target: str, methods: set[str]) -> None:
    known = {
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PURGE",
        "PROPFIND",
        "M-SEARCH",
        "LINK",
        "LOCK",
    }
    for method in sorted(known - methods):
        answer = hostile.request(method, target, b"{}" if method in {"POST", "PUT", "PATCH"} else None)
        refused(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize("method", ["get", "Get", "FOO", "G@T", "", "GET\t", "A" * 9000, "0", "GÉT", "PRI", "__init__"])
def test_what_is_no_method_is_not_parsed(hostile: Caller, method: str) -> None:
    not_parsed(hostile.raw(hostile.text(method, USERS)))


@pytest.mark.parametrize("target", ["gateway:443", "/", USERS])
def test_CONNECT_opens_nothing(hostile: Caller, target: str) -> None:
    answer = hostile.raw(hostile.text("CONNECT", target))
    assert answer is not None
    refused(answer, answer.status)
    assert answer.status in {404, 405}


def test_TRACE_tells_nothing_of_the_request(hostile: Caller) -> None:
    answer = hostile.request("TRACE", USERS, headers=["X-Canary: tweet"])
    refused(answer, 405)
    assert b"tweet" not in answer.body
    assert hostile.token.encode() not in answer.body


def test_HEAD_is_GET_without_the_body(hostile: Caller) -> None:
    for target in (USERS, f"{USERS}/nobody", "/nowhere"):
        got = hostile.request("GET", target)
        head = hostile.request("HEAD", target)
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_changes_the_method(hostile: Caller, name: str) -> None:
    resource_id = hostile.made(unique())
    assert hostile.request("GET", f"{USERS}/{resource_id}", headers=[f"{name}: DELETE"]).status == 200
    refused(hostile.request("POST", f"{USERS}/{resource_id}", b"{}", [f"{name}: DELETE"]), 405)
    assert hostile.request("GET", f"{USERS}/{resource_id}").status == 200


# --- where the request says it was sent to ---


@pytest.mark.parametrize(
    "host",
    [
        b'"><script>',
        b'a"b',
        b'a","x":"b',
        b"a\\b",
        b"a b",
        b"a\tb",
        b"",
        b"a/../b",
        b"user@host",
        b"user:secret@host",
        b"a#b",
        b"a?b",
        b"a:b:c",
        b"a:99999999",
        b"a:-1",
        b"[::1",
        b"::1",
        b"{a}",
        b"\xff\xfe",
        "é.example".encode(),
        "雪".encode(),
        b"a\x7fb",
        b"<a>",
    ],
)
def test_a_Host_that_is_none_is_400_before_anything_is_written(hostile: Caller, host: bytes) -> None:
    before = hostile.count()
    text = hostile.text("POST", USERS, user(unique())).replace(b"Host: gateway", b"Host: " + host)
    answer = hostile.raw(text)
    if answer is not None and answer.headers["content-type"].startswith("text/plain"):
        not_parsed(answer)
    else:
        refused(answer, 400)
    assert hostile.count() == before


@pytest.mark.parametrize(
    "host",
    [b"a", b"a.example:8443", b"127.0.0.1:80", b"[::1]:80", b"[2001:db8::1]", b"A.EXAMPLE", b"a_b", b"%41", b"a,b"],
)
def test_meta_location_and_Location_are_made_of_the_Host(hostile: Caller, host: bytes) -> None:
    text = hostile.text("POST", USERS, user(unique())).replace(b"Host: gateway", b"Host: " + host)
    answer = hostile.raw(text)
    assert answer is not None
    assert answer.status == 201, answer.body
    location = answer.json()["meta"]["location"]
    assert location == answer.headers["location"]
    assert location.startswith(f"http://{host.decode()}/scim/v2/Users/")


def test_no_or_two_Hosts_are_not_parsed(hostile: Caller) -> None:
    text = hostile.text("GET", USERS)
    not_parsed(hostile.raw(text.replace(b"Host: gateway\r\n", b"")))
    not_parsed(hostile.raw(text.replace(b"Host: gateway\r\n", b"Host: gateway\r\nHost: other\r\n")))


def test_forwarding_headers_are_not_believed(hostile: Caller) -> None:
    lines = [
        "X-Forwarded-Host: evil",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "Forwarded: host=evil;proto=https",
    ]
    answer = hostile.post(
        user(unique()), [*lines, "X-Original-URL: /livez", "X-Rewrite-URL: /livez", "X-Tenant: other"]
    )
    assert answer.json()["meta"]["location"].startswith("http://gateway/scim/v2/")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"http://gateway{USERS}?count=0", 200),
        (f"http://evil.example{USERS}?count=0", 200),
        (f"http://evil.example:99999{USERS}", 400),
        (f"http://[{USERS}", 400),
        (f"http://{USERS}", 400),
        ("scim/v2/Users", 400),
        ("*", 400),
        ("http://", 400),
    ],
)
def test_a_whole_URL_as_target_is_no_way_around(hostile: Caller, target: str, status: int) -> None:
    answer = hostile.raw(hostile.text("GET", target))
    if status == 400:
        not_parsed(answer)
    else:
        assert answer is not None
        assert answer.status == status, answer.body
    refused(
        Caller(hostile.address, "wrong").raw(
            hostile.text("GET", "http://gateway/x").replace(hostile.token.encode(), b"x")
        ),
        404,
    )


# --- headers with a meaning ---


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "text/*", "image/png, text/html", "x", "é", "a" * 7000, "/"]
)
def test_who_accepts_no_JSON_gets_406_and_nothing_is_written(hostile: Caller, accept: str) -> None:
    before = hostile.count()
    refused(hostile.request("GET", USERS, headers=[f"Accept: {accept}"]), 406)
    refused(hostile.post(user(unique()), [f"Accept: {accept}"]), 406)
    assert hostile.count() == before


@pytest.mark.parametrize(
    "tags",
    ["", " ", ",", ",,,", '""', "W/", 'W/""', ",".join(f'"{number}"' for number in range(51)), '"é"', "é", '"\u2028"'],
    ids=lambda tags: tags[:12] or "empty",
)
def test_If_Match_without_tags_is_invalidValue(hostile: Caller, tags: str) -> None:
    resource_id = hostile.made(unique())
    for method, body in (("PUT", user(unique())), ("DELETE", None)):
        refused(hostile.request(method, f"{USERS}/{resource_id}", body, [f"If-Match: {tags}"]), 400, "invalidValue")
    refused(hostile.request("GET", f"{USERS}/{resource_id}", headers=[f"If-None-Match: {tags}"]), 400, "invalidValue")


@pytest.mark.parametrize(
    "tags",
    [
        '"',
        '"x"',
        "2",
        'W/W/"1"',
        '"01"',
        '"1" "',
        '"+1"',
        '"1.0"',
        '"١"'.encode().decode("latin-1"),
        '"*"',
        "a" * 8000,
        '"%31"',
        "1;q=1",
    ],
)
def test_If_Match_with_other_tags_changes_nothing(hostile: Caller, tags: str) -> None:
    resource_id = hostile.made(unique())
    answer = hostile.request("DELETE", f"{USERS}/{resource_id}", headers=[b"If-Match: " + tags.encode("latin-1")])
    assert answer.status in {400, 412}, answer.body
    refused(answer, answer.status, "invalidValue" if answer.status == 400 else None)
    assert hostile.request("GET", f"{USERS}/{resource_id}").status == 200


def test_all_lines_of_If_Match_count(hostile: Caller) -> None:
    resource_id = hostile.made(unique())
    target = f"{USERS}/{resource_id}"
    refused(hostile.request("DELETE", target, headers=['If-Match: "7"', 'If-Match: "8"']), 412)
    refused(hostile.request("DELETE", target, headers=['If-Match: "7"', "If-Match: *"]), 412)
    assert hostile.request("DELETE", target, headers=['If-Match: "7"', 'If-Match: "1"']).status == 204


@pytest.mark.parametrize("key", ["", " ", "\t", "a" * 256, "a" * 8000, "a\u0085b", "\u200b", b"\xff", b"a\xc3"])
def test_an_Idempotency_Key_that_is_none_is_invalidValue_and_nothing_is_written(
    hostile: Caller, key: str | bytes
) -> None:
    before = hostile.count()
    line = b"Idempotency-Key: " + (key if isinstance(key, bytes) else key.encode())
    refused(hostile.post(user(unique()), [line]), 400, "invalidValue")
    refused(hostile.request("DELETE", f"{USERS}/x", headers=[line]), 400, "invalidValue")
    assert hostile.count() == before


def test_odd_Idempotency_Keys_are_each_its_own(hostile: Caller) -> None:
    keys = [
        "a",
        "A",
        '"a"',
        "a b",
        "a,b",
        "é",
        "雪",
        "../../x",
        "%00",
        "a" * 255,
        "'; DROP TABLE outcome; --",
        "{}",
        "*",
    ]
    suffix = unique()[-8:]
    made = set()
    for key in keys:
        answer = hostile.post(user(unique()), [f"Idempotency-Key: {(key + suffix)[-255:]}"])
        assert answer.status == 201, (key, answer.body)
        made.add(answer.json()["id"])
    assert len(made) == len(keys)


@pytest.mark.parametrize(
    "given",
    ["x" * 129, "x" * 8000, "é", "\u2028", b"\xff", b"a\tb"],
    ids=["129", "8000", "letter", "line", "byte", "tab"],
)
def test_a_request_id_that_is_none_is_replaced(hostile: Caller, given: str | bytes) -> None:
    line = b"X-Request-Id: " + (given if isinstance(given, bytes) else given.encode())
    for answer in (hostile.post(user(unique()), [line]), hostile.request("GET", f"{USERS}/x", headers=[line])):
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "injected", ["a\r\nX-Injected: y", "a\r\n\r\nHTTP/1.1 200 OK", "a\nX-Injected: y", "a\rX-Injected: y"]
)
def test_nothing_is_injected_by_a_request_id(hostile: Caller, injected: str) -> None:
    answer = hostile.raw(hostile.text("GET", f"{USERS}/x", headers=[f"X-Request-Id: {injected}"]))
    if answer is not None:
        assert "x-injected" not in answer.headers
        assert answer.status in {400, 404}


def test_a_traceparent_that_is_none_reaches_no_event(service: Service, hostile: Caller) -> None:
    odd = [
        b"",
        b"x",
        b"00",
        b"z" * 55,
        b'"' * 55,
        b"00-" + b"g" * 32 + b"-" + b"0" * 16 + b"-01",
        b"a" * 8000,
        b"\xff" * 55,
    ]
    odd.append("é".encode() * 27 + b"x")
    answers = [hostile.post(user(unique()), [b"traceparent: " + each]) for each in odd]
    assert {answer.status for answer in answers} == {201}
    made = {answer.json()["id"] for answer in answers}
    events = [event for event in service.events("hostile") if event["key"].partition("/")[2] in made]
    assert len(events) == len(odd)
    assert not [event for event in events if "traceparent" in event["headers"]]


def test_Expect_is_answered_and_what_cannot_be_expected_is_ignored(hostile: Caller) -> None:
    answer = hostile.post(user(unique()), ["Expect: 100-continue"])
    assert (answer.status, answer.interim) == (201, (100,))
    answer = hostile.post(user(unique()), ["Expect: 200-ok"])
    assert (answer.status, answer.interim) == (201, ())
    refused(Caller(hostile.address, "wrong").post(user(unique()), ["Expect: 100-continue"]), 401)


def test_who_expects_100_may_wait_for_it_before_the_body(hostile: Caller) -> None:
    body = user(unique())
    with Connection(hostile.address) as connection:
        connection.send(hostile.text("POST", USERS, body, ["Expect: 100-continue"])[: -len(body)])
        assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        answer = connection.answer()
        assert answer is not None
        assert answer.status == 201


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0", "x" * 5000])
def test_no_other_protocol_is_agreed_to(hostile: Caller, protocol: str) -> None:
    lines = [
        "Connection: Upgrade",
        f"Upgrade: {protocol}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    answer = hostile.request("GET", f"{USERS}?count=0", headers=lines)
    assert answer.status == 200
    assert "upgrade" not in answer.headers
    answer = hostile.post(user(unique()), lines[:2])
    assert answer.status == 201


def test_respond_async_is_not_agreed_to(hostile: Caller) -> None:
    answer = hostile.post(user(unique()), ["Prefer: respond-async, wait=0"])
    assert answer.status == 201
    assert "preference-applied" not in answer.headers


# --- who sends it ---


def without_token(caller: Caller, text: bytes, instead: bytes = b"") -> bytes:
    """Return the request with these lines in the place of its Authorization header."""
    line = b"\r\nAuthorization: Bearer %b\r\n" % caller.token.encode()
    assert text.count(line) == 1
    return text.replace(line, b"\r\n" + instead)


FORGED = {
    "none": None,
    "empty": b"",
    "scheme-alone": b"Bearer",
    "blank": b"Bearer   ",
    "Basic": b"Basic %b",
    "Digest": b'Digest username="x", response="%b"',
    "no-scheme": b"%b",
    "tab": b"Bearer\t%b",
    "quoted": b'Bearer "%b"',
    "comma": b"Bearer %b,",
    "two": b"Bearer %b %b",
    "prefix": b"Bearer x%b",
    "suffix": b"Bearer %bx",
    "NUL-like": b"Bearer %b%%00",
    "null": b"Bearer null",
    "hash": b"Bearer " + b"0" * 64,
    "8-KB": b"Bearer " + b"a" * 8000,
    "bytes": b"Bearer \xff\xfe\x80",
    "letters": "Bearer é雪".encode(),
    "JWT-none": b"Bearer eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJob3N0aWxlIn0.",
    "SQL": b"Bearer ' OR 1=1 --",
}


@pytest.mark.parametrize("authorization", FORGED.values(), ids=FORGED)
def test_a_missing_or_forged_token_is_401_everywhere_and_says_nothing(
    hostile: Caller, authorization: bytes | None
) -> None:
    filled = b""
    if authorization is not None:
        count = authorization.count(b"%b")
        filled = b"Authorization: %b\r\n" % (
            authorization % ((hostile.token.encode(),) * count) if b"%" in authorization else authorization
        )
    body = user(unique())
    requests = [
        hostile.text("GET", USERS),
        hostile.text("GET", f"{USERS}?filter=userName+eq+%22a%22"),
        hostile.text("POST", USERS, body),
        hostile.text("GET", f"{USERS}/x"),
        hostile.text("PUT", f"{USERS}/x", body),
        hostile.text("PATCH", f"{USERS}/x", compact({"schemas": [urns.PATCH_OP]})),
        hostile.text("DELETE", f"{USERS}/x"),
        hostile.text("GET", "/scim/v2/Outcomes/x"),
        hostile.text("GET", "/scim/v2/Me"),
        hostile.text("POST", "/scim/v2/Bulk", b"{}"),
        hostile.text("POST", USERS, b"{", content_type="text/plain"),
        hostile.text("GET", f"{USERS}?count=abc", headers=["Accept: text/html"]),
    ]
    bodies = set()
    for text in requests:
        answer = hostile.raw(without_token(hostile, text, filled))
        refused(answer, 401)
        assert answer is not None
        assert answer.headers["www-authenticate"].startswith("Bearer")
        bodies.add(answer.body)
    assert len(bodies) == 1


def test_a_forged_token_is_401_on_discovery_too(hostile: Caller) -> None:
    for endpoint in ("ServiceProviderConfig", "Schemas", "ResourceTypes"):
        refused(Caller(hostile.address, "wrong").request("GET", f"/scim/v2/{endpoint}"), 401)


def test_of_two_Authorization_headers_none_counts(service: Service, hostile: Caller) -> None:
    for first, second in (("hostile", "rfc"), ("rfc", "hostile"), ("hostile", "hostile")):
        caller = Caller(hostile.address, service.tokens[first])
        refused(caller.request("GET", USERS, headers=[f"Authorization: Bearer {service.tokens[second]}"]), 401)


def test_a_token_anywhere_else_is_none(hostile: Caller) -> None:
    token = hostile.token
    for target, lines in (
        (f"{USERS}?access_token={token}", []),
        (f"{USERS}?token={token}", []),
        (USERS, [f"Cookie: token={token}"]),
        (USERS, [f"Proxy-Authorization: Bearer {token}"]),
        (USERS, [f"X-Api-Key: {token}"]),
    ):
        text = hostile.text("GET", target, headers=lines)
        refused(hostile.raw(without_token(hostile, text)), 401)


def test_a_token_that_has_expired_is_401(service: Service, hostile: Caller) -> None:
    refused(Caller(hostile.address, service.tokens["rfc-expired"]).request("GET", USERS), 401)


def test_another_tenants_users_are_nobody(service: Service, hostile: Caller) -> None:
    """API1: by id, by name, by any method, and with another tenant named wherever one could be named."""
    name = unique()
    theirs = Caller(hostile.address, service.tokens["other"])
    resource_id = theirs.made(name, externalId=name)
    target = f"{USERS}/{resource_id}"
    patch = compact({"schemas": [urns.PATCH_OP], "Operations": [{"op": "add", "path": "title", "value": "x"}]})
    for lines in ([], ["X-Tenant: other"], ["X-Scim-Tenant: other"]):
        refused(hostile.request("GET", target, headers=lines), 404)
        refused(hostile.request("PUT", target, user(unique()), lines), 404)
        refused(hostile.request("PATCH", target, patch, lines), 404)
        refused(hostile.request("DELETE", target, headers=lines), 404)
        refused(hostile.request("GET", f"{target}?tenant=other", headers=lines), 404)
    for attribute in ("userName", "externalId"):
        assert hostile.find(f"filter={attribute}+eq+%22{name}%22").json()["totalResults"] == 0
    assert hostile.post(user(name)).status == 201, "names are taken within a tenant only"
    assert json.loads(theirs.request("GET", target).body)["userName"] == name
