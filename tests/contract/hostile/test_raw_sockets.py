"""What comes in on a socket and is hardly HTTP: smuggling, broken headers, other protocols, pipelines, lost callers."""

from __future__ import annotations

import random
import threading
import time

import pytest

from tests.contract.hostile.conftest import Watch
from tests.contract.hostile.wire import USERS, Answer, Caller, Connection, chunked, not_parsed, refused, user
from tests.served import Service, unique

CHUNKED = "Transfer-Encoding: chunked"


def smuggled(caller: Caller) -> bytes:
    """Return a whole request to be hidden in a body; should it be obeyed, a user more is there."""
    return caller.text("POST", USERS, user(unique("smuggled")))


# --- where a body ends ---

AMBIGUOUS = {
    "TE-and-CL": ["Content-Length: {length}", CHUNKED],
    "CL-and-TE": [CHUNKED, "Content-Length: {length}"],
    "two-CL": ["Content-Length: {length}", "Content-Length: 5"],
    "two-CL-alike": ["Content-Length: {length}", "Content-Length: {length}"],
    "CL-list": ["Content-Length: {length}, {length}"],
    "CL-plus": ["Content-Length: +{length}"],
    "CL-minus": ["Content-Length: -1"],
    "CL-hexadecimal": ["Content-Length: 0x{length}"],
    "CL-fraction": ["Content-Length: {length}.0"],
    "CL-underscore": ["Content-Length: 1_0"],
    "CL-Arabic": ["Content-Length: ٥"],
    "CL-empty": ["Content-Length: "],
    "CL-huge": ["Content-Length: 18446744073709551617"],
    "CL-blank-before-colon": ["Content-Length : {length}"],
    "TE-twice": [CHUNKED, CHUNKED],
    "TE-identity-behind": ["Transfer-Encoding: chunked, identity"],
    "TE-unknown": ["Transfer-Encoding: xchunked"],
    "TE-gzip": ["Transfer-Encoding: gzip"],
    "TE-identity": ["Transfer-Encoding: identity"],
    "TE-vertical-tab": ["Transfer-Encoding: \x0bchunked"],
    "TE-NUL": ["Transfer-Encoding: chunked\x00"],
    "TE-blank-before-colon": ["Transfer-Encoding : chunked"],
    "TE-folded": ["Transfer-Encoding:\r\n chunked"],
    "TE-bare-CR": ["X: y\rTransfer-Encoding: chunked"],
    "TE-bare-LF": ["X: y\nTransfer-Encoding: chunked", "Content-Length: {length}"],
}


@pytest.mark.parametrize("lines", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_body_whose_end_is_ambiguous_is_refused_and_nothing_in_it_is_obeyed(
    hostile: Caller, lines: list[str]
) -> None:
    before = hostile.count()
    hidden = smuggled(hostile)
    for body in (b"0\r\n\r\n" + hidden, hidden, chunked(user(unique())) + hidden):
        framing = "\r\n".join(lines).format(length=len(body))
        with Connection(hostile.address) as connection:
            connection.send(hostile.text("POST", USERS, body, framing=framing))
            not_parsed(connection.answer())
            assert connection.closes()
    assert hostile.count() == before


BAD_CHUNKS = {
    "negative": b"-5\r\nabcde\r\n0\r\n\r\n",
    "plus": b"+5\r\nabcde\r\n0\r\n\r\n",
    "prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "blank-before": b" 5\r\nabcde\r\n0\r\n\r\n",
    "overflow": b"FFFFFFFFFFFFFFFFF\r\nabc",
    "no-number": b"x\r\nabc\r\n0\r\n\r\n",
    "empty-line": b"\r\nabc\r\n0\r\n\r\n",
    "longer-than-said": b"2\r\nabcde\r\n0\r\n\r\n",
    "bare-LF": b"5\nabcde\n0\n\n",
    "bare-CR": b"5\rabcde\r0\r\r",
    "NUL": b"5\x00\r\nabcde\r\n0\r\n\r\n",
    "extension-with-a-line": b'5;a="\nb"\r\nabcde\r\n0\r\n\r\n',
    "many-trailers": b"0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    "long-trailer": b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_chunks_that_are_none_are_refused(hostile: Caller, body: bytes) -> None:
    before = hostile.count()
    not_parsed(hostile.raw(hostile.text("POST", USERS, body, framing=CHUNKED)))
    assert hostile.count() == before


@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a="b"', b";" + b"a" * 5_000, b";a=b" * 1_000])
def test_chunk_extensions_are_skipped(hostile: Caller, extension: bytes) -> None:
    body = user(unique())
    text = b"%x%b\r\n%b\r\n0%b\r\n\r\n" % (len(body), extension, body, extension)
    answer = hostile.raw(hostile.text("POST", USERS, text, framing=CHUNKED))
    assert answer is not None
    assert answer.status in {201, 400}


def test_trailers_change_nothing(hostile: Caller) -> None:
    trailers = b"Authorization: Bearer x\r\nHost: evil\r\nContent-Length: 0\r\nContent-Type: text/plain\r\n\r\n"
    text = chunked(user(unique()))[:-2] + trailers
    answer = hostile.raw(hostile.text("POST", USERS, text, ["Trailer: Authorization"], framing=CHUNKED))
    if answer is not None and answer.status == 201:
        assert answer.json()["meta"]["location"].startswith("http://gateway/")
    else:
        not_parsed(answer)


# --- headers ---

BAD_HEADERS = {
    "200-headers": b"".join(b"X-%d: y\r\n" % number for number in range(200)),
    "10000-headers": b"X: y\r\n" * 10_000,
    "9-KB-value": b"X: " + b"y" * 9_000 + b"\r\n",
    "1-MB-value": b"X: " + b"y" * 1_000_000 + b"\r\n",
    "9-KB-name": b"X" * 9_000 + b": y\r\n",
    "folded": b"X: a\r\n b\r\n",
    "folded-by-tab": b"X: a\r\n\tb\r\n",
    "blank-first": b" X: y\r\n",
    "blank-before-colon": b"X : y\r\n",
    "no-colon": b"Xy\r\n",
    "no-name": b": y\r\n",
    "NUL-in-value": b"X: a\x00b\r\n",
    "NUL-in-name": b"X\x00Y: a\r\n",
    "bell": b"X: \x07\r\n",
    "bare-CR": b"X: a\rY: b\r\n",
    "letter-in-name": "É: y\r\n".encode(),
    "quotes-in-name": b'"X": y\r\n',
    "slash-in-name": b"X/Y: y\r\n",
}


@pytest.mark.parametrize("lines", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_headers_that_are_none_or_too_many_are_refused(hostile: Caller, lines: bytes) -> None:
    text = hostile.text("GET", f"{USERS}?count=0")
    not_parsed(hostile.raw(text[:-2] + lines + b"\r\n"))


def test_many_and_long_headers_within_the_limits_are_taken(hostile: Caller) -> None:
    lines = [f"X-{number}: {'y' * 8_000}" for number in range(100)]
    assert hostile.request("GET", f"{USERS}?count=0", headers=lines).status == 200
    assert hostile.raw(b"\r\n\r\n" + hostile.text("GET", f"{USERS}?count=0")) is not None


def test_a_request_line_of_nine_kilobytes_is_refused(hostile: Caller) -> None:
    not_parsed(hostile.raw(hostile.text("GET", f"{USERS}?a={'a' * 9_000}")))
    not_parsed(hostile.raw(b"GET " + b"/" * 1_000_000))


OTHER_PROTOCOLS = {
    "HTTP-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP-3.0": b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n",
    "HTTP-1.9": b"GET /livez HTTP/1.9\r\nHost: x\r\n\r\n",
    "no-version": b"GET /livez HTTP/\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(508),
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SMTP": b"EHLO example.com\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "Kafka": bytes.fromhex("00000015001200030000000000047465737400"),
    "lines": b"\n" * 100 + b"x\n",
    "NUL": bytes(5_000),
    "noise": bytes(random.Random(20).randrange(256) for _ in range(5_000)),
    "letters": b"A" * 1_000_000,
    "bare-LF": b"GET /livez HTTP/1.1\nHost: x\n\n",
}


@pytest.mark.parametrize("text", OTHER_PROTOCOLS.values(), ids=OTHER_PROTOCOLS)
def test_what_is_not_HTTP_1_is_refused(hostile: Caller, text: bytes) -> None:
    with Connection(hostile.address) as connection:
        connection.send(text)
        not_parsed(connection.answer())
        assert connection.closes()


def test_old_versions_are_answered_and_closed(hostile: Caller) -> None:
    for version in (b"", b" HTTP/1.0"):
        with Connection(hostile.address) as connection:
            connection.send(b"GET /scim/v2/Users%b\r\n\r\n" % version)
            refused(connection.answer(), 401)
            assert connection.closes()


# --- more than one request on a connection ---


def test_pipelined_requests_are_answered_in_their_order(hostile: Caller) -> None:
    names = [unique() for _ in range(300)]
    texts = [hostile.text("POST", USERS, user(name)) for name in names]
    with Connection(hostile.address, 20.0) as connection:
        connection.send(b"".join(texts))
        answers = [connection.answer() for _ in texts]
    assert [answer.json()["userName"] for answer in answers if answer is not None] == names


def test_pipelined_requests_in_pieces_are_answered_in_their_order(hostile: Caller) -> None:
    text = b"".join(hostile.text("GET", f"{USERS}/{number}") for number in range(20))
    with Connection(hostile.address, 20.0) as connection:
        for place in range(0, len(text), 37):
            connection.send(text[place : place + 37])
        for _ in range(20):
            refused(connection.answer(), 404)


def test_good_and_bad_requests_take_turns_on_a_connection(hostile: Caller) -> None:
    with Connection(hostile.address, 20.0) as connection:
        for _ in range(5):
            connection.send(hostile.text("POST", USERS, b"{"))
            refused(connection.answer(), 400, "invalidSyntax")
            connection.send(hostile.text("GET", "/nowhere"))
            refused(connection.answer(), 404)
            connection.send(hostile.text("GET", USERS).replace(hostile.token.encode(), b"wrong"))
            refused(connection.answer(), 401)
            connection.send(hostile.text("POST", USERS, user(unique())))
            answer = connection.answer()
            assert answer is not None
            assert answer.status == 201


def test_an_answer_is_of_its_own_request_when_the_one_before_was_abandoned(hostile: Caller) -> None:
    """CVE-2023-28858's lesson: who leaves must not leave an answer behind for the next."""
    ids = [hostile.made(unique()) for _ in range(4)]
    for number in range(80):
        with Connection(hostile.address) as left:
            left.send(hostile.text("GET", f"{USERS}/{ids[number % 4]}"))
            left.abort()
        answer = hostile.request("GET", f"{USERS}/{ids[(number + 1) % 4]}")
        assert answer.json()["id"] == ids[(number + 1) % 4]


def test_the_connection_is_closed_after_an_answer_to_half_a_body(hostile: Caller) -> None:
    """What comes of the body afterwards must not be taken for a request."""
    before = hostile.count()
    with Connection(hostile.address) as connection:
        connection.send(hostile.text("POST", USERS, b"", framing="Content-Length: 2000000"))
        answer = connection.answer()
        refused(answer, 413)
        assert answer is not None
        assert answer.headers["connection"] == "close"
        connection.send(smuggled(hostile))
    assert hostile.count() == before


# --- callers that go away ---


def settled(service: Service, watch: Watch, descriptors: int) -> None:
    """Wait until nothing is in flight and all sockets are closed again."""
    deadline = time.monotonic() + 10
    while True:
        in_flight = [line for line in service.metrics().splitlines() if line.startswith("scimgw_commands_in_flight ")]
        if in_flight == ["scimgw_commands_in_flight 0.0"] and watch.descriptors() <= descriptors + 3:
            return
        assert time.monotonic() < deadline, (in_flight, watch.descriptors(), descriptors)
        time.sleep(0.05)


def test_five_hundred_requests_cut_off_at_random_leave_nothing_behind(
    service: Service, hostile: Caller, watch: Watch
) -> None:
    """A caller may die at any byte; some of these are whole and take effect, and their answers go nowhere."""
    dice = random.Random(500)
    descriptors = watch.descriptors()
    resource_id = hostile.made(unique())
    for number in range(500):
        text = dice.choice(
            [
                hostile.text("POST", USERS, user(unique(), displayName="x" * dice.choice([1, 50_000]))),
                hostile.text("POST", USERS, chunked(user(unique()), b" " * 5_000), framing=CHUNKED),
                hostile.text("PUT", f"{USERS}/{resource_id}", user(unique())),
                hostile.text("GET", f"{USERS}?count=50"),
                hostile.text("DELETE", f"{USERS}/nobody"),
                hostile.text("POST", USERS, user(unique()), ["Content-Encoding: gzip"]),
                hostile.text("POST", USERS, user(unique()), ["Expect: 100-continue"]),
            ]
        )
        with Connection(hostile.address) as connection:
            connection.send(text[: dice.randint(0, len(text))])
            if number % 3:
                connection.abort()
    settled(service, watch, descriptors)


def test_a_hundred_writers_who_leave_at_once_leave_nothing_behind(
    service: Service, hostile: Caller, watch: Watch
) -> None:
    descriptors = watch.descriptors()
    before = hostile.count()
    connections = [Connection(hostile.address) for _ in range(100)]
    for connection in connections:
        connection.send(hostile.text("POST", USERS, user(unique())))
    for connection in connections:
        connection.abort()
    settled(service, watch, descriptors)
    assert before <= hostile.count() <= before + 100


def test_five_hundred_slow_callers_slow_nobody(hostile: Caller, bystander: tuple[Caller, str]) -> None:
    """Half have sent half of their headers, half of the others half of a body, the rest nothing."""
    quiet, resource_id = bystander

    def median() -> float:
        seconds = []
        with Connection(quiet.address, 60.0) as connection:
            for _ in range(101):
                began = time.monotonic()
                connection.send(quiet.text("GET", f"{USERS}/{resource_id}"))
                answer = connection.answer()
                assert answer is not None
                assert answer.status == 200
                seconds.append(time.monotonic() - began)
        return sorted(seconds)[50]

    before = median()
    text = hostile.text("POST", USERS, user(unique(), displayName="x" * 10_000))
    beginnings = [text[:80], text[:80], text[:-5_000], b""]
    slow = [Connection(hostile.address, 60.0) for _ in range(500)]
    stop = threading.Event()

    def dribble() -> None:
        place = 0
        while not stop.wait(0.05):
            for connection in slow[place % 10 :: 10]:
                connection.send(b"x")
            place += 1

    dribbling = threading.Thread(target=dribble)
    try:
        for number, connection in enumerate(slow):
            connection.send(beginnings[number % 4])
        dribbling.start()
        during = median()
    finally:
        stop.set()
        dribbling.join()
        for connection in slow:
            connection.abort()
    assert during < 10 * before + 0.05, (before, during)


def test_whoever_reads_nothing_is_not_waited_for(hostile: Caller) -> None:
    """Their answers fill the socket; the others' go on."""
    made = [hostile.made(unique(), displayName="x" * 900_000) for _ in range(3)]
    deaf = [Connection(hostile.address, 30.0) for _ in range(5)]
    for connection in deaf:
        connection.send(hostile.text("GET", f"{USERS}?startIndex={max(1, hostile.count() - 2)}") * 3)
    for _ in range(20):
        answer: Answer = hostile.request("GET", f"{USERS}?count=0")
        assert answer.status == 200
        assert answer.seconds < 2.0
    for connection in deaf:
        connection.abort()
    for resource_id in made:
        assert hostile.request("DELETE", f"{USERS}/{resource_id}").status == 204


def test_noise_is_answered_or_closed(hostile: Caller) -> None:
    """Mutations of good requests by fixed dice: never a 5xx, never silence."""
    dice = random.Random(7)
    for _ in range(300):
        text = bytearray(hostile.text("POST", USERS, user(unique()), ["Connection: close", 'If-Match: "1"']))
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(text))
            change = dice.randrange(3)
            if change == 0:
                text[place] = dice.randrange(256)
            elif change == 1:
                del text[place : place + dice.randint(1, 3)]
            else:
                text[place:place] = bytes(dice.choices(b'\r\n\x00 :;,"{}%\xff', k=dice.randint(1, 3)))
        with Connection(hostile.address) as connection:
            connection.send(bytes(text) + b"\r\n\r\n" + b" " * 50)
            answer = connection.answer()
            assert answer is None or answer.status < 500, (bytes(text), answer)
