"""The front door: one TCP port (or Unix socket) and everything that is served behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from _socket import socket as Socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from .acceptor import Acceptor
from .asyncio_transports import carry
from .binding import bind
from .deadlines import Deadlines
from .endpoints import Routes
from .fallback import AsgiApp, Fallback
from .gate import Gate
from .heads import HeadReader
from .http import HttpConnection
from .http2 import Http2Connection
from .lingering import LingeringConnection
from .opening import Opening
from .poller import IS_SUPPORTED, Poller
from .responses import ResponseWriter
from .tcp import TcpTransport


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one HTTP connection.

    Attributes:
        head_bytes: largest head (431 above).
        headers: largest number of header lines (431 above).
        head_seconds: for a whole head, from its first byte (408).
        body_seconds: for a whole body (408).
        idle_seconds: between requests.
        linger_seconds: for the client to read the last response.
    """

    head_bytes: int = 65536
    headers: int = 200
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 120.0
    linger_seconds: float = 2.0


class Listener:
    """Accepts connections and serves them by its routes.

    Args:
        routes: endpoints by path.
        fallback_app: ASGI application for every other path; None to answer 404.
        limits: see HttpLimits.
        h2c: speak HTTP/2 in clear text with clients that begin with it (`http_server.h2c_external`).

    Attributes:
        connections: those that speak HTTP; upgraded ones of HTTP/1.1 have left.
        draining: responses close their connections.
        alternative: value of `Alt-Svc` in responses, empty for none.
    """

    def __init__(
        self,
        routes: Routes,
        fallback_app: AsgiApp | None = None,
        limits: HttpLimits | None = None,
        *,
        h2c: bool = False,
    ) -> None:
        self.alternative = ""
        self.serve(routes, fallback_app)
        self.limits = limits or HttpLimits()
        self.heads = HeadReader(self.limits.headers)
        self.writer = ResponseWriter()
        self.connections: set[HttpConnection | Http2Connection | LingeringConnection | Opening] = set()
        self.draining = False
        self.is_tls = False
        self._h2c = h2c
        self.gate: Gate
        self.loop: asyncio.AbstractEventLoop
        self.deadlines: Deadlines
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._poller: Poller | None = None

    async def start(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        sockets: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
        backlog: int = 4096,
        gate: Gate | None = None,
    ) -> None:
        """Begins to accept connections.

        Args:
            host: address to bind; empty or None for all.
            port: TCP port, 0 for a free one.
            sockets: bound ones instead of both; they are the listener's then.
            tls: serve TLS with this context; its ALPN protocols may have `h2`.
            backlog: connections that the kernel may hold for us.
            gate: where newcomers wait, if all listeners of the process have one.

        Raises:
            OSError: the address cannot be bound.
        """
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.gate = gate or Gate(self.loop)
        self.is_tls = tls is not None
        self._sockets = list(sockets or bind(host, port))
        welcome: Callable[[Socket, Any], object]
        if tls is None and IS_SUPPORTED:
            self._poller = Poller(self.loop)
            welcome = self._welcome
        else:
            welcome = partial(self._welcome_by_loop, tls)
        for sock in self._sockets:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # those that are accepted inherit it
            sock.listen(backlog)
            self._acceptors.append(Acceptor(sock, self.gate, welcome))

    def _welcome(self, connection: Socket, peer: Any) -> None:
        """Carries a connection in clear text."""
        assert self._poller is not None
        TcpTransport(self._poller, connection, peer, cast("asyncio.Protocol", self.protocol())).start()

    def _welcome_by_loop(self, tls: ssl.SSLContext | None, connection: Socket, peer: Any) -> None:
        """Has the event loop carry a connection."""
        carry(self.loop, connection, self.protocol, tls)

    def serve(self, routes: Routes, fallback_app: AsgiApp | None) -> None:
        """Serves by these routes from the next request on; see the class."""
        self.routes = routes
        self.fallback = Fallback(fallback_app) if fallback_app is not None else None
        if self.alternative and self.fallback is not None:
            self.fallback.add_header("alt-svc", self.alternative)

    def advertise(self, alternative: str) -> None:
        """Tells clients in every response where else they find the server (RFC 7838).

        Args:
            alternative: value of `Alt-Svc`.
        """
        self.alternative = alternative
        self.writer.constant = [f"Alt-Svc: {alternative}"]
        if self.fallback is not None:
            self.fallback.add_header("alt-svc", alternative)

    def protocol(self) -> HttpConnection | Opening:
        """Makes the protocol of a new connection."""
        return Opening(self) if self.is_tls or self._h2c else HttpConnection(self)

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self._sockets[0].getsockname()[1])

    def filenos(self) -> list[int]:
        """Returns the descriptors of the sockets that are listened on, for another process to go on with."""
        return [sock.fileno() for sock in self._sockets]

    def stop_accepting(self) -> None:
        """Closes the port. Connections close after their next response, so that no request is lost on its way."""
        self.draining = True
        for acceptor in self._acceptors:
            acceptor.close()
        for connection in list(self.connections):
            connection.drain()

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Stops accepting, closes idle connections and waits for requests in work.

        Args:
            grace_seconds: after these, connections that still speak HTTP are aborted.
        """
        self.stop_accepting()
        for connection in list(self.connections):
            connection.close_when_done()
        until = self.loop.time() + grace_seconds
        while self.connections and self.loop.time() < until:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        self.deadlines.close()
        if self._poller is not None:
            self._poller.close()
