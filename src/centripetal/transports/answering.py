"""The answering side of an HTTP/1.x connection: what is written, in one go for a turn, and how the connection ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ..interfaces.request import HttpResponse
from .deadlines import Expiring
from .heads import Head
from .lingering import LingeringConnection
from .responses import plain

if TYPE_CHECKING:
    from .listener import Listener

_log = structlog.get_logger()


class Answering:
    """What a connection writes, and whom it belongs to.

    Args:
        listener: whose limits it keeps.
    """

    __slots__ = (
        "_busy", "_closing", "_eof", "_lingers", "_listener", "_out", "_reading_paused", "_transport",
        "_writing_paused", "bucket", "deadline",
    )  # fmt: skip

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._busy = False  # a request is being answered, or waits at the gate
        self._closing = False  # no further request is served
        self._lingers = False  # ... but input is still read and dropped
        self._reading_paused = False
        self._writing_paused = False
        self._eof = False
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None

    def pause_writing(self) -> None:
        self._writing_paused = True

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, head: Head, response: HttpResponse) -> None:
        request = head.request
        close = not head.keep_alive or self._listener.draining or self._closing
        try:
            data = self._listener.writer.encode(
                response, close=close, http_10=request.http_version == "1.0", without_body=request.method == "HEAD"
            )
        except ValueError:
            _log.exception("http_response_invalid", method=request.method)
            close, data = True, self._listener.writer.encode(plain(500), close=True)
        self._out.append(data)
        self._closing = self._closing or close

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._out:
            transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        if self._closing and not self._busy:
            if not self._lingers or self._eof or transport.is_closing():
                transport.close()
            else:
                self._give_away(LingeringConnection(self._listener, transport))

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        transport = self._transport
        if self._reading_paused and transport is not None:
            self._reading_paused = False
            if not transport.is_closing():
                transport.resume_reading()

    def _give_away(self, protocol: asyncio.Protocol) -> None:
        """Makes another protocol the connection's for good."""
        transport = self._transport
        assert transport is not None
        self._resume_reading()
        self._forget()
        transport.set_protocol(protocol)
        if self._writing_paused:
            protocol.pause_writing()
        if self._eof and not protocol.eof_received():
            transport.close()

    def expire(self) -> None:
        """Ends a connection that was idle or slow for too long."""
        self.abort()

    def _forget(self) -> None:
        self._transport = None
        self._listener.connections.discard(self)
        self._listener.deadlines.forget(self)
