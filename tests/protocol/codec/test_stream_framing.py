"""Delimiters of messages, and streams split at every place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.protocol.errors import ProtocolError
from centripetal.protocol.framing import (
    MessageTooLarge,
    NewlineSplitter,
    VarintSplitter,
    delimit_json,
    delimit_protobuf,
    frame_event,
    join_json,
    join_protobuf,
    read_varint,
    varint,
)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, b"\x00"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"), (2**32, b"\x80\x80\x80\x80\x10"), (2**64 - 1, b"\xff" * 9 + b"\x01"),
    ],
)  # fmt: skip
def test_varint(number: int, encoded: bytes) -> None:
    assert varint(number) == encoded
    assert read_varint(b"xx" + encoded + b"\xff", 2) == (number, 2 + len(encoded))
    for end in range(len(encoded)):
        assert read_varint(encoded[:end], 0) == (0, -1)


def test_varint_out_of_range() -> None:
    for encoded in (b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01"):
        with pytest.raises(ProtocolError):
            read_varint(encoded, 0)


def test_frames() -> None:
    assert delimit_json(b"{}") == b"{}\n"
    assert delimit_protobuf(b"") == b"\x00"
    assert delimit_protobuf(b"ab") == b"\x02ab"
    assert join_json([b"{}", b"[]"]) == b"{}\n[]"
    assert join_protobuf([b"a", b"", b"b"]) == b"\x01a\x00\x01b"
    assert frame_event(b'{"a":\r1}') == b'data: {"a":1}\n\n'


@pytest.mark.parametrize(
    ("splitter_type", "stream", "ends"),
    [
        (NewlineSplitter, b"{}\n\n[1]\n" + b"x" * 20 + b"\nrest", [3, 4, 8, 29]),
        (VarintSplitter, b"\x02ab\x00\x01c\x80\x01" + b"x" * 128 + b"\x90\x01ab", [3, 4, 6, 136]),
    ],
)
def test_stream_split_everywhere(
    splitter_type: type[NewlineSplitter | VarintSplitter], stream: bytes, ends: list[int]
) -> None:
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            splitter = splitter_type(200)
            fed, given_out = 0, 0
            for end in (first, second, len(stream)):
                out = splitter.feed(stream[fed:end])
                fed = end
                complete = max([0, *(place for place in ends if place <= end)])
                assert out == stream[given_out:complete]
                given_out = complete
                assert splitter.pending_bytes == end - complete


@given(st.lists(st.binary(max_size=30)), st.integers(1, 7))
def test_any_messages_in_small_pieces(messages: list[bytes], piece: int) -> None:
    lines = [message.replace(b"\n", b"") for message in messages]
    for splitter, stream in (
        (NewlineSplitter(30), b"".join(map(delimit_json, lines))),
        (VarintSplitter(30), join_protobuf(messages)),
    ):
        pieces = [splitter.feed(stream[start : start + piece]) for start in range(0, len(stream), piece)]
        assert b"".join(pieces) == stream
        assert splitter.pending_bytes == 0


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_bound_of_lines(piece: int) -> None:
    def feed(stream: bytes) -> bytes:
        splitter = NewlineSplitter(5)
        return b"".join(splitter.feed(stream[start : start + piece]) for start in range(0, len(stream), piece))

    assert feed(b"12345\n12345\n1") == b"12345\n12345\n"
    assert feed(b"12345\n12345") == b"12345\n"
    for stream in (b"123456", b"123456\n", b"1\n123456\n", b"1\n123456", b"123456\n1\n", b"1\n2\n123456\n3\n"):
        with pytest.raises(MessageTooLarge):
            feed(stream)


def test_bound_of_lengths() -> None:
    assert VarintSplitter(5).feed(b"\x0512345\x05") == b"\x0512345"
    for stream in (b"\x06", b"\x01a\x06123456", b"\xff\xff\xff\xff\x0f"):
        with pytest.raises(MessageTooLarge):
            VarintSplitter(5).feed(stream)
    with pytest.raises(ProtocolError):
        VarintSplitter(5).feed(b"\xff" * 11)
