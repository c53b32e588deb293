"""The client of the loader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.connections import connections, encode, split_answer
from tests.load.errors import BenchError
from tests.load.stub_server import stub_server

ONE = b"HTTP/1.1 201 Created\r\nETag: x\r\ncontent-LENGTH: 5\r\n\r\nhello"


@given(st.integers(0, len(ONE) - 1))
def test_an_answer_is_cut_off_only_when_it_is_whole(received: int) -> None:
    assert split_answer(ONE[:received]) is None
    cut = split_answer(ONE + ONE[:received])
    assert cut is not None
    assert (cut[0].status, cut[0].body, cut[1]) == (201, b"hello", ONE[:received])


def test_an_answer_without_content_has_no_body() -> None:
    cut = split_answer(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n")
    assert cut is not None
    assert (cut[0].status, cut[0].body, cut[1]) == (204, b"", b"")


@pytest.mark.parametrize("received", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_what_the_client_cannot_read_is_said_and_not_guessed(received: bytes) -> None:
    with pytest.raises(BenchError):
        split_answer(received)


def test_a_request_with_a_body_gives_its_length() -> None:
    request = encode("PUT", "/x", "token", b"{}", ['If-Match: W/"1"'])
    assert request.startswith(b"PUT /x HTTP/1.1\r\n")
    assert b'\r\nIf-Match: W/"1"\r\n' in request
    assert request.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")


async def test_answers_come_in_the_order_of_the_requests() -> None:
    with stub_server(lambda method, target, body: (200, target.encode() + body)) as port:
        async with connections(port, "token", 2) as (first, second):
            assert (await first.ask("GET", "/a")).body == b"/a"
            assert (await second.ask("POST", "/b", b"c")).body == b"/bc"
            assert (await first.ask("GET", "/d")).body == b"/d"


async def test_a_closed_connection_raises_instead_of_waiting() -> None:
    with stub_server(lambda method, target, body: (200, b"")) as port:
        async with connections(port, "token", 1) as (connection,):
            connection.close()
            with pytest.raises(ConnectionResetError):
                await connection.ask("GET", "/")
