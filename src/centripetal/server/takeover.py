"""A new process takes over from the one that runs: its listening sockets, and what its memory engine keeps.

The one that runs listens on a Unix socket (`http_server.takeover_socket`). A process that starts with the same option
asks there first. It gets the listening sockets, so that no connection is refused or lost in between, and then everything
that channels hold; what is asked meanwhile waits some milliseconds. From then on the new process keeps the engine, and
serves it to the old one, which says goodbye to its clients at its own pace and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from ..engines.local import VERSION, Heir, Host, LocalBroker, LocalMapBroker, LocalPresenceManager, Remote
from ..engines.local.methods import METHOD_OF
from ..engines.memory.snapshot import in_batches
from .doors import Door
from .engine import SwitchedEngine

MEETING_SECONDS = 5.0
"""Each side waits for the other's next words at most so long."""

HANDOVER_SECONDS = 20.0
"""The whole of the state must be handed over within this; otherwise the old process goes on."""

MAX_SOCKETS = 16
MAX_GREETING_BYTES = 65536

_RESTORE = METHOD_OF["heir", "restore"]
_BEGIN = METHOD_OF["heir", "begin"]

logger = structlog.get_logger("centripetal.server")


class TakeoverError(Exception):
    """The other process cannot be understood, or did not keep to what was agreed."""


class Predecessor:
    """What the new process knows of the old one.

    Args:
        connection: to it.
        sockets: its listening sockets by address and port.
    """

    def __init__(self, connection: socket.socket, sockets: dict[tuple[str, int], list[socket.socket]]) -> None:
        self._connection = connection
        self._sockets = sockets
        self._heir: Heir | None = None

    @classmethod
    async def meet(cls, path: str) -> Predecessor | None:
        """Asks the process that listens on a Unix socket for what it has; None when there is none.

        Raises:
            OSError: there is one, but it does not answer as it should.
        """
        try:
            return await asyncio.to_thread(_meet, path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (TakeoverError, ValueError, KeyError) as error:
            raise OSError(f"{path}: the process there cannot be taken over from: {error}") from error

    def sockets_of(self, door: Door) -> Sequence[socket.socket]:
        """Returns the listening sockets for a door; none if the old process did not listen there."""
        return self._sockets.pop((door.address, door.port), ())

    async def inherit(self, engine: SwitchedEngine) -> None:
        """Takes up the state, and serves it to the old process from then on.

        Args:
            engine: bound to the node, not started yet.

        Raises:
            OSError: the state did not come.
        """
        heir = self._heir = Heir(engine.memory)
        host = Host(
            {
                "broker": engine.memory.broker,
                "presence": engine.memory.presence,
                "map_broker": engine.memory.map_broker,
                "heir": heir,
            }
        )
        engine.share(host)
        gone = asyncio.Event()

        def leave() -> None:
            engine.keep_alone()
            gone.set()

        link = host.welcome(leave)
        await asyncio.get_running_loop().create_connection(lambda: link, sock=self._connection)
        waits = [asyncio.ensure_future(event.wait()) for event in (heir.complete, gone)]
        try:
            await asyncio.wait(waits, timeout=HANDOVER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not heir.complete.is_set():
            link.abort()
            raise OSError("the process that was to be taken over from did not hand over what it keeps")

    def accepted(self) -> None:
        """Connections are accepted now: the old process may leave. Sockets that nobody took are closed."""
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()
        if self._heir is not None:
            self._heir.accepting.set()


class Successor:
    """Waits for the process that will take over from this one.

    Args:
        path: of the Unix socket.
        doors: whose sockets are handed over.
        engine: what is handed over.
        replaced: called when the other process has taken over.
    """

    def __init__(self, path: str, doors: Sequence[Door], engine: SwitchedEngine, replaced: Callable[[], None]) -> None:
        self._path = path
        self._doors = doors
        self._engine = engine
        self._replaced = replaced
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

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if self._task is not None or not _is_own(connection):
            connection.close()
            return
        self._task = asyncio.get_running_loop().create_task(self._hand_over(connection))
        self._task.add_done_callback(self._forget_task)

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._task = None

    async def _hand_over(self, connection: socket.socket) -> None:
        places = [
            {"address": door.address, "port": door.port, "count": len(door.listener.filenos())} for door in self._doors
        ]
        filenos = [number for door in self._doors for number in door.listener.filenos()]
        remote = Remote()
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                await asyncio.to_thread(_greet, connection, places, filenos)
                await asyncio.get_running_loop().create_connection(lambda: remote.link, sock=connection)
                logger.info("handing_over", clients=len(self._engine.broker.channels))
                await self._hand_over_state(remote)
        except Exception as error:  # noqa: BLE001 - whatever it is, this process must go on
            logger.error("takeover_failed", error=str(error) or type(error).__name__)
            await self._engine.go_on()
            remote.link.abort()
            connection.close()
            return
        self.has_come = True
        self._replaced()

    async def _hand_over_state(self, remote: Remote) -> None:
        engine = self._engine
        await engine.hold()
        for batch in in_batches(engine.memory.records()):
            await remote.call(_RESTORE, batch)
        await remote.call(_BEGIN)
        await engine.move_to(LocalBroker(remote), LocalPresenceManager(remote), LocalMapBroker(remote))


def _meet(path: str) -> Predecessor:
    """Connects, and receives the sockets. Blocks."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(MEETING_SECONDS)
    received: list[socket.socket] = []
    try:
        connection.connect(path)
        connection.sendall(json.dumps({"version": VERSION, "pid": os.getpid()}).encode() + b"\n")
        data, numbers, _, _ = socket.recv_fds(connection, MAX_GREETING_BYTES, MAX_SOCKETS)
        received = [socket.socket(fileno=number) for number in numbers]
        if not data:
            raise TakeoverError("it refused")
        answer = json.loads(data)
        if "error" in answer:
            raise TakeoverError(str(answer["error"]))
        sockets: dict[tuple[str, int], list[socket.socket]] = {}
        rest = list(received)
        for place in answer["listeners"]:
            sockets[place["address"], place["port"]] = rest[: place["count"]]
            del rest[: place["count"]]
        connection.setblocking(False)
    except BaseException:
        for sock in (connection, *received):
            sock.close()
        raise
    return Predecessor(connection, sockets)


def _greet(connection: socket.socket, places: Sequence[dict[str, Any]], filenos: Sequence[int]) -> None:
    """Reads who asks, and sends the sockets. Blocks."""
    connection.settimeout(MEETING_SECONDS)
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(MAX_GREETING_BYTES)
        if not more or len(line) > MAX_GREETING_BYTES:
            raise TakeoverError("a greeting without end")
        line += more
    version = json.loads(line).get("version")
    if version != VERSION:
        error = f"it understands version {VERSION} of the handover, and was asked for {version}"
        connection.sendall(json.dumps({"error": error}).encode())
        raise TakeoverError(error)
    socket.send_fds(connection, [json.dumps({"listeners": places}).encode()], list(filenos))
    connection.setblocking(False)


def _is_own(connection: socket.socket) -> bool:
    """Whether the process at the other end is the same user's, or root's."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (0, os.geteuid())
