"""The end of a connection whose peer may still be sending.

Closing at once would make the kernel answer that input with a reset, and the peer could lose the last response.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .deadlines import Expiring

if TYPE_CHECKING:
    from .listener import Listener

_MAX_BYTES = 16 * 1024 * 1024


class LingeringConnection(asyncio.Protocol):
    """Closes our side and drops what still comes, for a while.

    Args:
        listener: that the connection belongs to.
        transport: of the connection; everything to send is written.
    """

    __slots__ = ("_dropped", "_listener", "_transport", "bucket", "deadline")

    def __init__(self, listener: Listener, transport: asyncio.Transport) -> None:
        self._listener = listener
        self._transport = transport
        self._dropped = 0
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        listener.connections.add(self)
        listener.deadlines.watch(self, listener.limits.linger_seconds)
        if transport.can_write_eof():
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > _MAX_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._listener.deadlines.forget(self)

    def expire(self) -> None:
        """The peer had its time."""
        self._transport.abort()

    def drain(self) -> None:
        """It ends by itself."""

    def close_when_done(self) -> None:
        """It is closing anyway."""

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()
