"""Heads and chunked bodies without sockets: every outcome is a value or the documented exception."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.transports.bodies import BadBody, ChunkedBody
from centripetal.transports.heads import CHUNKED, BadHead, HeadReader, parse_head

GOOD = b"POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"


def test_a_head() -> None:
    head = parse_head(GOOD, 10)
    assert (head.request.method, head.request.path, head.request.query) == ("POST", "/a/b", "c=d")
    assert (head.body_length, head.keep_alive, head.expects_continue) == (12, True, True)


def test_other_framings() -> None:
    head = parse_head(b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nConnection: a, Close\r\n\r\n", 10)
    assert (head.body_length, head.keep_alive, head.expects_continue) == (CHUNKED, False, False)
    head = parse_head(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 10)
    assert (head.body_length, head.keep_alive) == (0, True)


def test_remembered_heads_make_requests_of_their_own() -> None:
    reader = HeadReader(10)
    heads = [reader.read(GOOD) for _ in range(3)]
    assert len({id(head.request) for head in heads}) == 3
    heads[0].keep_alive = False
    heads[0].request.remote_address = "somebody"
    again = reader.read(GOOD)
    assert (again.keep_alive, again.request.remote_address, again.request.headers["host"]) == (True, "", "x")
    for number in range(1000):
        reader.read(GOOD.replace(b"/a/b", b"/%d" % number))
    assert len(reader._known) <= 256


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_heads(data: bytes) -> None:
    try:
        parse_head(data + b"\r\n\r\n", 20)
    except BadHead as error:
        assert error.status in (400, 431, 501)


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_heads(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for position, byte in changes:
        data[position] = byte
    try:
        head = parse_head(bytes(data), 20)
    except BadHead as error:
        assert error.status in (400, 431, 501)
    else:
        assert all(name == name.lower() for name in head.request.headers)
        assert head.body_length >= CHUNKED


def chunked(body: bytes, sizes: list[int]) -> bytes:
    data = b""
    for size in sizes:
        chunk, body = body[:size], body[size:]
        if chunk:
            data += f"{len(chunk):x};e=1\r\n".encode() + chunk + b"\r\n"
    if body:
        data += f"{len(body):X}\r\n".encode() + body + b"\r\n"
    return data + b"0\r\nTrailer: t\r\n\r\n"


@given(st.binary(max_size=200), st.lists(st.integers(1, 60), max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_chunked_bodies_at_any_split(body: bytes, sizes: list[int], positions: list[int]) -> None:
    data = chunked(body, sizes) + b"next"
    edges = [0, *sorted(min(position, len(data)) for position in positions), len(data)]
    reader = ChunkedBody(200)
    rest = b""
    for start, end in pairwise(edges):
        rest = rest + data[start:end] if reader.complete else reader.feed(data[start:end])
    assert reader.complete
    assert (bytes(reader.body), rest) == (body, b"next")


@settings(max_examples=500)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n", b"5\r\n", b"0\r\n", b"\n", b"ffff"]))))
def test_random_chunks(pieces: list[bytes]) -> None:
    reader = ChunkedBody(50)
    try:
        for piece in pieces:
            if not reader.complete:
                reader.feed(piece)
    except BadBody as error:
        assert error.status in (400, 413)
    assert len(reader.body) <= 50


@pytest.mark.parametrize("data", [b"0\r\n" + b"x: y\r\n" * 3000, b"1;" + b"x" * 300 + b"\r\n"])
def test_trailers_and_chunk_extensions_are_bounded(data: bytes) -> None:
    with pytest.raises(BadBody):
        ChunkedBody(50).feed(data)
