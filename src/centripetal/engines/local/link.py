"""A link between two processes of a machine: messages in both directions over a stream socket, many in one write.

A message is a head of fourteen bytes, big-endian: the size of the body (4), a number (8) and a smaller one (2); then the body, in
MessagePack. What the numbers say stands in methods.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""A longer one ends the link: no publication is that long."""

MAX_BUFFERED_BYTES = 256 * 1024 * 1024
"""A peer that leaves more than this unread is given up."""

_encode = msgspec.msgpack.Encoder().encode
_HEAD = struct.Struct(">IQH")
_HEAD_BYTES = _HEAD.size
_pack_head = _HEAD.pack
_unpack_head = _HEAD.unpack_from

_log = structlog.get_logger("centripetal.engines")


class LinkError(Exception):
    """What came over a link makes no sense."""


def frame(first: int, second: int, body: Any) -> bytes:
    """Returns a message.

    Args:
        first: a number of at most 64 bits.
        second: one of at most 16 bits.
        body: anything that MessagePack can carry.
    """
    encoded = _encode(body)
    return _pack_head(len(encoded), first, second) + encoded


class Link(asyncio.Protocol):
    """One end.

    Args:
        receive: called with the numbers and the body of each message that arrives. The body must not be kept. It may raise
            LinkError or msgspec's errors, which end the link.
        lost: called once when the link has ended.
    """

    __slots__ = ("_buffer", "_loop", "_lost", "_out", "_receive", "_transport", "_wanted", "_writable")

    def __init__(self, receive: Callable[[int, int, memoryview], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()  # the beginning of a message
        self._wanted = 0  # bytes without which there is no use in looking at it again
        self._out: list[bytes] = []
        self._writable: asyncio.Future[None] | None = None  # while the peer does not keep up

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: bytes) -> None:
        """Sends a framed message with all others of this turn of the loop; nothing happens on a link that has ended."""
        if self._transport is None:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(message)

    async def wait_writable(self) -> None:
        """Waits until the peer keeps up."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    @property
    def is_choked(self) -> bool:
        """Whether the peer does not keep up."""
        return self._writable is not None

    def abort(self) -> None:
        """Ends the link at once."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        out, self._out = self._out, []
        transport = self._transport
        if transport is not None and out:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            if transport.get_write_buffer_size() > MAX_BUFFERED_BYTES:
                _log.error("link_peer_does_not_read")
                transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        self._buffer.clear()
        self.resume_writing()
        self._lost()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._wanted:
                return
            data = bytes(buffer)
            buffer.clear()
        try:
            taken = self._take(data)
        except (LinkError, msgspec.DecodeError) as error:
            _log.error("link_broken", error=str(error))
            self.abort()
            return
        if taken < len(data):
            buffer += memoryview(data)[taken:]

    def _take(self, data: bytes) -> int:
        """Hands on the messages that are whole; returns how many bytes they took."""
        receive, view = self._receive, memoryview(data)
        position, end = 0, len(data)
        self._wanted = _HEAD_BYTES
        while end - position >= _HEAD_BYTES:
            size, first, second = _unpack_head(data, position)
            if size > MAX_MESSAGE_BYTES:
                raise LinkError(f"a message of {size} bytes")
            start = position + _HEAD_BYTES
            if end - start < size:
                self._wanted = _HEAD_BYTES + size
                break
            position = start + size
            receive(first, second, view[start:position])
        return position
