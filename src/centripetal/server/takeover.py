"""A new process takes over from the one that runs: its listening sockets, and what its memory engine keeps.

The one that runs listens on a Unix socket (`http_server.takeover_socket`). A process that starts with the same option
asks there first. It gets the listening sockets, so that no connection is refused or lost in between. When it is ready to
accept, it says so, and gets everything that channels hold; what is asked meanwhile waits some milliseconds. From then on
the new process keeps the engine, and serves it to the old one, which says goodbye to its clients at its own pace and ends.

The UDP sockets of QUIC are read by the new process from then on, which passes on what is for connections of the old one
(quic_ports.py).

With several workers, the supervisor gets the sockets, and the process that keeps the engine the rest. An old one passes
on what its workers ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from ..engines.local import Heir, Host, Remote
from ..engines.local.methods import METHOD_OF
from ..engines.memory import MemoryEngine
from ..engines.memory.snapshot import in_batches
from .meeting import TakeoverError, greet, is_own, meet
from .ports import Place, Sockets
from .quic_ports import QuicLegacy, QuicPorts

READY_SECONDS = 30.0
"""So long after it got the sockets the new process must be ready."""

HANDOVER_SECONDS = 20.0
"""The whole of the state must be handed over within this; otherwise the old process goes on."""

READY = b"\n"

_RESTORE = METHOD_OF["heir", "restore"]
_BEGIN = METHOD_OF["heir", "begin"]

logger = structlog.get_logger("centripetal.server")


class Predecessor:
    """What the new process knows of the old one.

    Args:
        connection: to it.
        sockets: its listening sockets by address and port.
        quic: what it has at its UDP port, if that was asked for and it is the same.

    Attributes:
        quic: the same; it is for one to take.
    """

    def __init__(self, connection: socket.socket, sockets: Sockets, quic: QuicLegacy | None = None) -> None:
        self._connection = connection
        self._sockets = sockets
        self.quic = quic
        self._heir: Heir | None = None

    @classmethod
    def meet(cls, path: str, quic: Place | None = None) -> Predecessor | None:
        """Asks the process that listens on a Unix socket for what it has; None when there is none. Blocks.

        Args:
            path: of the Unix socket.
            quic: address and UDP port that the new process will serve.

        Raises:
            OSError: there is one, but it does not answer as it should.
        """
        try:
            return cls(*meet(path, quic))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except TakeoverError as error:
            raise OSError(f"{path}: the process there cannot be taken over from: {error}") from error

    def take_sockets(self) -> Sockets:
        """Returns its listening sockets by address and port; they are the caller's then."""
        sockets, self._sockets = self._sockets, {}
        return sockets

    async def inherit(self, host: Host, memory: MemoryEngine, left: Callable[[], None] = lambda: None) -> None:
        """Takes up the state, and serves it to the old process from then on. Call it when nothing else can fail.

        Args:
            host: serves the engine.
            memory: the engine, not started yet.
            left: called when the old process has gone.

        Raises:
            OSError: the state did not come.
        """
        heir = self._heir = Heir(memory)
        host.targets["heir"] = heir
        gone = asyncio.Event()

        def leave() -> None:
            left()
            gone.set()

        link = host.welcome(leave)
        self._connection.send(READY)
        await asyncio.get_running_loop().create_connection(lambda: link, sock=self._connection)
        waits = [asyncio.ensure_future(event.wait()) for event in (heir.complete, gone)]
        try:
            await asyncio.wait(waits, timeout=HANDOVER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del host.targets["heir"]
            for wait in waits:
                wait.cancel()
        if not heir.complete.is_set():
            link.abort()
            raise OSError("the process that was to be taken over from did not hand over what it keeps")

    def accepted(self) -> None:
        """Connections are accepted now: the old process may leave."""
        if self._heir is not None:
            self._heir.accepting.set()

    def leave(self) -> None:
        """Closes the connection in a process that does not inherit."""
        self._connection.close()


class Estate(Protocol):
    """What is handed over.

    Attributes:
        memory: the engine with the state.
    """

    memory: MemoryEngine

    async def hold(self) -> None:
        """Lets what is asked wait, and the state rest."""

    async def prepare(self, remote: Remote) -> None:
        """Has the heir, which has the state, tell from its first publication on what is wanted here."""

    def move(self) -> None:
        """The heir keeps the engine now."""

    async def go_on(self) -> None:
        """Goes on as before; nothing happens if nothing is held."""


class Successor:
    """Waits for the process that will take over from this one.

    Args:
        path: of the Unix socket.
        listeners: returns the descriptors of the listening sockets that are handed over, by place.
        estate: what is handed over.
        replaced: called when the other process has taken over.
        quic: the UDP port, if there is HTTP/3.
    """

    def __init__(
        self,
        path: str,
        listeners: Callable[[], Mapping[Place, Sequence[int]]],
        estate: Estate,
        replaced: Callable[[], None],
        *,
        quic: QuicPorts | None = None,
    ) -> None:
        self._path = path
        self._listeners = listeners
        self._estate = estate
        self._replaced = replaced
        self._quic = quic
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self.has_come = False

    def wait(self) -> None:
        """Begins to listen. The path becomes this process's, whoever had it before.

        Raises:
            OSError: the path cannot be bound.
        """
        temporary = f"{self._path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        self._socket = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            self._socket.bind(temporary)
        except OSError as error:
            raise OSError(f"http_server.takeover_socket: cannot listen on {self._path}: {error.strerror or error}") from None
        finally:
            os.umask(mask)
        self._socket.listen(4)
        self._socket.setblocking(False)
        os.rename(temporary, self._path)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Stops listening; the path goes too, unless a successor has it."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        if not self.has_come:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    async def finish(self) -> None:
        """Waits until nothing is being handed over, for no longer than that may take."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if self._task is not None or not is_own(connection):
            connection.close()
            return
        self._task = asyncio.get_running_loop().create_task(self._hand_over(connection))
        self._task.add_done_callback(self._forget_task)

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._task = None

    async def _hand_over(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        remote = Remote(keeps_interest=True)
        try:
            gives_quic = await asyncio.to_thread(greet, connection, self._listeners(), self._quic)
            async with asyncio.timeout(READY_SECONDS):
                if await loop.sock_recv(connection, len(READY)) != READY:
                    raise TakeoverError("it did not become ready")
            async with asyncio.timeout(HANDOVER_SECONDS):
                await loop.create_connection(lambda: remote.link, sock=connection)
                logger.info("handing_over")
                await self._hand_over_state(remote)
        except Exception as error:  # noqa: BLE001 - whatever it is, this process must go on
            logger.error("takeover_failed", error=str(error) or type(error).__name__)
            await self._estate.go_on()
            remote.link.abort()
            connection.close()
            return
        self.has_come = True
        if gives_quic and self._quic is not None:
            self._quic.give()
        self._replaced()

    async def _hand_over_state(self, remote: Remote) -> None:
        estate = self._estate
        await estate.hold()
        for batch in in_batches(estate.memory.records()):
            await remote.call(_RESTORE, batch)
        await estate.prepare(remote)
        await remote.call(_BEGIN)
        estate.move()
