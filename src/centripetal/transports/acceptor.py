"""How connections are taken from listening sockets.

Thousands that come at once must not be accepted in one turn of the loop, least of all over TLS, where a handshake costs a
hundred times what a connection costs. So they are accepted as the gate allows; the others wait in the kernel's queue.
"""

from __future__ import annotations

import _socket
import asyncio
import socket
from collections.abc import Callable
from typing import Any

import structlog

from .gate import Gate

ACCEPTED_AT_ONCE = 64
"""In one turn, when many wait."""

FULL_ROUNDS = 4
"""After so many turns in which nobody seemed to be left waiting, twice as many are asked for: to ask in vain costs as much as
to accept, and most of the time connections come one by one."""

PAUSE_SECONDS = 1.0
"""After a failure to accept, most likely for want of open files."""

_log = structlog.get_logger("centripetal.transports")


class Acceptor:
    """Accepts connections as a gate allows; implements gate.Newcomer for whoever is next.

    Args:
        sock: listens already.
        gate: where newcomers wait.
        welcome: makes a transport of an accepted socket, which does not block, and the address of its peer; may raise OSError.
    """

    def __init__(
        self, sock: socket.socket, gate: Gate, welcome: Callable[[_socket.socket, Any], object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._kind = (int(sock.family), int(sock.type), sock.proto)
        self._gate = gate
        self._welcome = welcome
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._listening = False
        self._at_once = 1
        self._full_rounds = 0
        self._listen()

    def close(self) -> None:
        """Stops accepting; handshakes go on."""
        if not self._closed:
            self._closed = True
            self._stop_listening()
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
        if not self._listening:
            self._listening = True
            self._loop.add_reader(self._socket, self._accept_some)

    def _stop_listening(self) -> None:
        self._listening = False
        self._loop.remove_reader(self._socket)

    def _accept_some(self) -> None:
        for _ in range(self._at_once):
            if not self._gate.enter(self):
                self._stop_listening()
                return
            if not self._accept():
                self._at_once = 1
                self._full_rounds = 0
                return
        self._full_rounds += 1
        if self._full_rounds >= FULL_ROUNDS:
            self._at_once = min(self._at_once * 2, ACCEPTED_AT_ONCE)

    def _accept(self) -> bool:
        """Accepts one connection; returns whether there may be more, and listens for them if not."""
        try:
            descriptor, peer = self._socket._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._listen()
            return False
        except OSError as error:
            self._fail(error)
            return False
        connection = _socket.socket(*self._kind, descriptor)
        try:
            connection.setblocking(False)
            self._welcome(connection, peer)
        except OSError as error:
            connection.close()
            self._fail(error)
            return False
        return True

    def _fail(self, error: OSError) -> None:
        """The system has no room for another connection; in a moment it may."""
        _log.error("accept_failed", error=str(error))
        self._stop_listening()
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)

