"""Bodies that are too large, compressed, wrongly framed, or declared to be something else."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from tests.contract.hostile.conftest import Watch
from tests.contract.hostile.wire import USERS, Caller, Connection, chunked, not_parsed, refused, user
from tests.served import unique

MEBIBYTE = 1024 * 1024
BOMB = gzip.compress(bytes(200_000_000), compresslevel=9)


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def padded(length: int) -> bytes:
    """Return a good user of exactly this many bytes."""
    body = user(unique())
    return body + b" " * (length - len(body))


def test_a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_413(hostile: Caller) -> None:
    assert hostile.post(padded(MEBIBYTE)).status == 201
    before = hostile.count()
    for method, target in (("POST", USERS), ("PUT", f"{USERS}/x"), ("PATCH", f"{USERS}/x")):
        answer = hostile.request(method, target, padded(MEBIBYTE + 1))
        refused(answer, 413)
        assert b"1048576" in answer.body, "the limit is named"
        assert answer.headers["connection"] == "close"
    assert hostile.count() == before


def test_a_large_body_is_refused_before_it_is_sent(hostile: Caller) -> None:
    for length in (MEBIBYTE + 1, 10**12, 2**63 - 1):
        refused(hostile.raw(hostile.text("POST", USERS, b"", framing=f"Content-Length: {length}")), 413)


@pytest.mark.parametrize("size", [1, 7, 1000, MEBIBYTE // 2])
def test_chunks_are_counted_while_they_come(hostile: Caller, size: int) -> None:
    body = padded(MEBIBYTE + 1) if size > 1 else padded(200_000)
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    text = hostile.text("POST", USERS, chunked(*pieces), framing="Transfer-Encoding: chunked")
    answer = hostile.raw(text)
    if size > 1:
        refused(answer, 413)
    else:
        assert answer is not None
        assert answer.status == 201


def test_chunks_without_end_are_413_while_they_come(hostile: Caller) -> None:
    piece = b"%x\r\n%b\r\n" % (65536, b" " * 65536)
    with Connection(hostile.address) as connection:
        connection.send(hostile.text("POST", USERS, b"", framing="Transfer-Encoding: chunked"))
        for _ in range(40):
            connection.send(piece)
        refused(connection.answer(), 413)


@pytest.mark.parametrize("token", ["good", "none"])
def test_a_gzip_bomb_costs_nobody_anything(hostile: Caller, watch: Watch, token: str) -> None:
    """``unharmed`` measures how long a bystander waits: with a token or without, nothing goes on unpacking."""
    caller = hostile if token == "good" else Caller(hostile.address, "wrong")
    before = watch.resident()
    for _ in range(5):
        answer = caller.post(BOMB, ["Content-Encoding: gzip"])
        refused(answer, 413 if token == "good" else 401)
        assert answer.seconds < 1.0
    assert watch.resident() - before < 20 * MEBIBYTE


def test_a_bomb_of_many_small_members_or_in_chunks_is_no_better(hostile: Caller) -> None:
    members = gzip.compress(bytes(900_000)) * 200
    refused(hostile.post(members, ["Content-Encoding: gzip"]), 400, "invalidSyntax")
    framed = chunked(*(BOMB[place : place + 500] for place in range(0, len(BOMB), 500)))
    text = hostile.text("POST", USERS, framed, ["Content-Encoding: gzip"], framing="Transfer-Encoding: chunked")
    refused(hostile.raw(text), 413)
    refused(hostile.post(zlib.compress(bytes(200_000_000)), ["Content-Encoding: deflate"]), 413)


def test_a_compressed_body_may_unpack_to_the_limit_and_not_beyond(hostile: Caller) -> None:
    assert hostile.post(gzip.compress(padded(MEBIBYTE)), ["Content-Encoding: gzip"]).status == 201
    refused(hostile.post(gzip.compress(padded(MEBIBYTE + 1)), ["Content-Encoding: gzip"]), 413)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_gzip_is_understood(hostile: Caller, coding: str) -> None:
    assert hostile.post(gzip.compress(user(unique())), [f"Content-Encoding: {coding}"]).status == 201


def test_deflate_is_understood_and_identity_is_nothing(hostile: Caller) -> None:
    assert hostile.post(zlib.compress(user(unique())), ["Content-Encoding: deflate"]).status == 201
    assert hostile.post(user(unique()), ["Content-Encoding: identity"]).status == 201


BROKEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "no-gzip": ("gzip", lambda body: body),
    "no-deflate": ("deflate", lambda body: body),
    "gzip-as-deflate": ("deflate", gzip.compress),
    "deflate-as-gzip": ("gzip", zlib.compress),
    "raw-deflate": ("deflate", raw_deflate),
    "cut-off": ("gzip", lambda body: gzip.compress(body)[:-9]),
    "wrong-checksum": ("gzip", lambda body: gzip.compress(body)[:-8] + bytes(8)),
    "something-behind-it": ("gzip", lambda body: gzip.compress(body) + b"x"),
    "a-second-member": ("gzip", lambda body: gzip.compress(body) * 2),
    "header-alone": ("gzip", lambda body: gzip.compress(body)[:10]),
    "one-byte": ("gzip", lambda _: b"\x1f"),
    "empty": ("gzip", lambda _: b""),
}


@pytest.mark.parametrize(("coding", "broken"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_in_its_content_coding_is_invalidSyntax(
    hostile: Caller, coding: str, broken: Callable[[bytes], bytes]
) -> None:
    refused(hostile.post(broken(user(unique())), [f"Content-Encoding: {coding}"]), 400, "invalidSyntax")


@pytest.mark.parametrize(
    "coding",
    ["br", "zstd", "compress", "gzip, gzip", "gzip,deflate", "aes128gcm", "", "x", "gzip;q=1", "x" * 5000, "é"],
)
def test_an_unknown_content_coding_is_415(hostile: Caller, coding: str) -> None:
    refused(hostile.post(user(unique()), [f"Content-Encoding: {coding}"]), 415)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/mixed",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/scim+jsonx",
        "application/json, application/scim+json",
        "application/*",
        "*/*",
        "json",
        "/",
        "",
        ";",
        "x" * 5000,
        "application/json; charset=utf-16",
        "application/scim+json; charset=iso-8859-1",
        "application/scim+json; charset=é",
        'application/json; charset="utf-7"',
    ],
)
def test_another_media_type_is_415(hostile: Caller, content_type: str) -> None:
    before = hostile.count()
    for method, target in (("POST", USERS), ("PUT", f"{USERS}/x"), ("PATCH", f"{USERS}/x")):
        refused(hostile.request(method, target, user(unique()), content_type=content_type), 415)
    assert hostile.count() == before


def test_no_media_type_is_415(hostile: Caller) -> None:
    refused(hostile.request("POST", USERS, user(unique()), content_type=None), 415)


@pytest.mark.parametrize(
    "content_type",
    [
        "APPLICATION/JSON",
        "application/scim+json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json;;",
    ],
)
def test_spellings_of_the_two_media_types_are_taken(hostile: Caller, content_type: str) -> None:
    assert hostile.request("POST", USERS, user(unique()), content_type=content_type).status == 201


def test_what_follows_a_body_that_is_longer_than_it_says_is_no_request(hostile: Caller) -> None:
    body = user(unique())
    before = hostile.count()
    with Connection(hostile.address) as connection:
        connection.send(hostile.text("POST", USERS, body, framing=f"Content-Length: {len(body) - 1}"))
        not_parsed(connection.answer())
        assert connection.closes()
    assert hostile.count() == before


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_where_none_belongs_is_not_looked_at(hostile: Caller, method: str) -> None:
    for body in (b"{", b"x" * 100_000, BOMB):
        refused(hostile.request(method, f"{USERS}/x", body, ["Content-Encoding: gzip"]), 404)
