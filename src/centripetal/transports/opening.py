"""The first moment of a connection: which version of HTTP it speaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .deadlines import Expiring
from .http import HttpConnection
from .http2 import Http2Connection

if TYPE_CHECKING:
    from .listener import Listener

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""With it, and nothing before, a client says that it speaks HTTP/2 (RFC 9113, 3.4)."""


class Opening(asyncio.Protocol):
    """The protocol of a connection until it is known which one it needs.

    Over TLS the handshake has said it (ALPN); in clear text the first bytes do ("prior knowledge").

    Args:
        listener: that the connection belongs to.
    """

    __slots__ = ("_data", "_listener", "_transport", "bucket", "deadline")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        listener = self._listener
        if listener.is_tls:
            tls = transport.get_extra_info("ssl_object")
            self._become_http_2() if tls.selected_alpn_protocol() == "h2" else self._become_http_1()
        else:
            listener.connections.add(self)
            listener.deadlines.watch(self, listener.limits.head_seconds)

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data
        if data.startswith(PREFACE):
            self._become_http_2()
        elif not PREFACE.startswith(data):
            self._become_http_1()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def expire(self) -> None:
        """Nothing came, or not enough."""
        self.abort()

    def drain(self) -> None:
        """Its first request closes it, or tells that there is no other."""

    def close_when_done(self) -> None:
        """Closes, since there is no request."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _become_http_1(self) -> None:
        self._become(HttpConnection(self._listener))

    def _become_http_2(self) -> None:
        self._become(Http2Connection(self._listener))

    def _become(self, protocol: HttpConnection | Http2Connection) -> None:
        transport, data = self._transport, self._data
        assert transport is not None
        self._forget()
        transport.set_protocol(cast("asyncio.Protocol", protocol))
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _forget(self) -> None:
        self._transport = None
        self._data = b""
        self._listener.connections.discard(self)
        self._listener.deadlines.forget(self)
