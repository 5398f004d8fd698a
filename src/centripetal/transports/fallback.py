"""Requests that the front door does not serve itself: uvicorn runs an ASGI application for them.

The connection comes back when the response is complete, so that a client may use it for both kinds of request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from .http import HttpConnection

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class Fallback:
    """An ASGI application for all connections of a listener.

    Args:
        app: called for HTTP requests only; without lifespan.

    Attributes:
        app: the same.
        runs: its calls for requests that uvicorn does not carry.
    """

    __slots__ = ("app", "config", "runs", "state")

    def __init__(self, app: AsgiApp) -> None:
        self.app = app
        self.runs: set[asyncio.Task[None]] = set()
        self.config = Config(
            app, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, date_header=False,
        )  # fmt: skip
        self.config.load()
        self.state = ServerState()

    def add_header(self, name: str, value: str) -> None:
        """Adds a header to every response."""
        self.state.default_headers.append((name.encode(), value.encode()))


class FallbackProtocol(HttpToolsProtocol):
    """Serves one request of a connection of the front door.

    Args:
        fallback: the application.
        front: where the connection goes back to.
        body_length: bytes that follow the head, -1 for chunks: then the connection is closed after the response.
    """

    def __init__(self, fallback: Fallback, front: HttpConnection, body_length: int) -> None:
        super().__init__(fallback.config, fallback.state, {})
        self._front = front
        self._remaining = body_length
        self._later = b""  # belongs to the next request
        self._gone = False

    def begin(self, transport: asyncio.Transport, head: bytes, data: bytes) -> None:
        """Takes over.

        Args:
            transport: of the connection; this is its protocol already.
            head: of the request.
            data: what was read behind it.
        """
        self.connection_made(transport)
        if self._remaining < 0:
            # Where a chunked body ends is uvicorn's knowledge.
            head = head[:-2] + b"Connection: close\r\n\r\n"
        super().data_received(head)
        if data:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Gives the application what belongs to its request and keeps the rest."""
        if self._remaining >= 0:
            mine, later = data[: self._remaining], data[self._remaining :]
            if later:
                self._later += later
                self.flow.pause_reading()
            if not mine:
                return
            self._remaining -= len(mine)
            if not self._remaining:
                self._front.body_read()
            data = mine
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Gives the connection back."""
        super().on_response_complete()
        transport = self.transport
        if transport.is_closing():
            return
        if self._remaining:
            transport.close()
            return
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._gone = True
        self._let_go()
        transport.set_protocol(cast("asyncio.Protocol", self._front))
        self._front.take_back(self._later, self.flow.write_paused)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells both that the connection is gone."""
        if not self._gone:
            super().connection_lost(exc)
            self._let_go()
            self._front.connection_lost(exc)

    def _let_go(self) -> None:
        """Undoes the reference cycles: the parser and the request know this protocol."""
        self.parser = self.cycle = None  # type: ignore[assignment]
