"""Listening sockets, and how connections are taken from them.

Thousands that come at once must not be accepted in one turn of the loop, least of all over TLS, where a handshake costs a
hundred times what a connection costs. So they are accepted as the gate allows; the others wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from .gate import Gate

ACCEPTED_AT_ONCE = 64
PAUSE_SECONDS = 1.0
"""After a failure to accept, most likely for want of open files."""

_log = structlog.get_logger("centripetal.transports")


def bind(host: str | None, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Returns sockets bound to an address, one for each family that it has.

    Args:
        host: address or name; empty or None for all interfaces.
        port: TCP port, 0 for a free one.
        reuse_port: let other processes bind it, too (SO_REUSEPORT).

    Raises:
        OSError: the address cannot be bound.
    """
    sockets: list[socket.socket] = []
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a family that this machine does not have
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            _bind(sock, address, several=len(found) > 1)
            if sock.fileno() < 0:
                sockets.pop()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(f"there is no address to listen on for {host!r}")
    return sockets


def _bind(sock: socket.socket, address: Any, *, several: bool) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        if several and error.errno == errno.EADDRNOTAVAIL:  # IPv6 may be switched off
            sock.close()
            return
        raise OSError(error.errno, f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None


class Acceptor:
    """Accepts connections as a gate allows; implements gate.Newcomer for whoever is next.

    Args:
        sock: listens already.
        gate: where newcomers wait.
        welcome: makes a transport of an accepted socket, which may take as long as a handshake.
    """

    def __init__(self, sock: socket.socket, gate: Gate, welcome: Callable[[socket.socket], Awaitable[Any]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._gate = gate
        self._welcome = welcome
        self._handshakes: set[asyncio.Future[Any]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._listen()

    def close(self) -> None:
        """Stops accepting; handshakes go on."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket)
            if self._pause is not None:
                self._pause.cancel()
            self._socket.close()

    def let_in(self) -> None:
        """There is room again."""
        if not self._closed and self._accept():
            self._listen()

    def turn_away(self) -> None:
        """Others wait for too long; whoever is next at this socket has waited in the kernel only."""
        self.let_in()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept_some)

    def _accept_some(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._gate.enter(self):
                self._loop.remove_reader(self._socket)
                return
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accepts one connection; returns whether there may be more, with the reader as it was."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._listen()
            return False
        except OSError as error:
            _log.error("accept_failed", error=str(error))
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)
            return False
        connection.setblocking(False)
        handshake = asyncio.ensure_future(self._shake_hands(connection))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)
        return True

    async def _shake_hands(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the peer's mistake, or its silence; ssl.SSLError is one, TimeoutError, too
            await self._welcome(connection)
