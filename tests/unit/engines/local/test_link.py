"""The bytes of a link: whole at any split, bounded, and nothing but what was sent."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from centripetal.engines.local.link import MAX_MESSAGE_BYTES, Link, LinkError, frame

Message = tuple[int, int, Any]


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def receive(*pieces: bytes, refuse: int = -1) -> tuple[list[Message], bool]:
    """Returns what arrives of the pieces, and whether the link was ended."""
    got: list[Message] = []

    def take(first: int, second: int, body: memoryview) -> None:
        if second == refuse:
            raise LinkError("refused")
        got.append((first, second, msgspec.msgpack.decode(body)))

    async def main() -> bool:
        link, wire = Link(take, lambda: None), Wire()
        link.connection_made(wire)
        for piece in pieces:
            link.data_received(piece)
        return wire.aborted

    return got, asyncio.run(main())


messages = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1), st.binary(max_size=300) | st.none()), max_size=8
)


@given(messages, st.data())
def test_messages_arrive_whole_and_in_order_at_any_split(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(frame(*message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert receive(*pieces) == (sent, False)


def test_byte_by_byte() -> None:
    sent: list[Message] = [(1, 2, b"x" * 40), (3, 0, None), (2**64 - 1, 65535, ["a", {"b": 1}])]
    stream = b"".join(frame(*message) for message in sent)
    assert receive(*(stream[i : i + 1] for i in range(len(stream)))) == (sent, False)


def test_what_is_too_long_ends_the_link_before_it_is_there() -> None:
    head = (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + bytes(10)
    assert receive(frame(1, 1, None) + head) == ([(1, 1, None)], True)


def test_what_makes_no_sense_ends_the_link() -> None:
    assert receive(frame(1, 7, None), refuse=7) == ([], True)
    broken = (3).to_bytes(4, "big") + bytes(10) + b"\xc1\xc1\xc1"
    assert receive(broken) == ([], True)
