"""The engine of a worker: another process of the machine keeps it. When that one is gone, this one waits and reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ...interfaces import BrokerError
from .methods import METHOD_OF
from .remote import LocalBroker, LocalController, LocalKeyDirectory, LocalMapBroker, LocalPresenceManager, Remote
from .switch import Switch, SwitchedBroker, SwitchedController, SwitchedMapBroker, SwitchedPresenceManager

START_SECONDS = 10.0
"""The host must be there so soon after the start."""

HELD_SECONDS = 3.0
"""What is asked while the host is gone waits at most so long before it fails."""

SILENT_SECONDS = 3.0
"""A host that does not answer a ping for so long is taken for gone."""

PAUSE_SECONDS = 0.05

_PING = METHOD_OF["controller", "send"]
_REPORT = METHOD_OF["muster", "report"]

logger = structlog.get_logger("centripetal.engines")


class LocalEngine:
    """Broker, presence, maps, controller and keys over one link.

    Args:
        path: of the host's Unix socket.

    Attributes:
        broker, presence, map_broker, controller: what the node uses.
        keys: what verifies tokens asks for the keys of endpoints.
        interrupted: called when the link is there again after it was lost: something may have been missed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._switch = Switch()
        self._remote = Remote(self._lost)
        self._stopping = False
        self._reconnecting: asyncio.Task[None] | None = None
        self._ping: asyncio.Task[None] | None = None
        self._pinged_at = 0.0
        self.interrupted: Callable[[], None] = lambda: None
        self.broker = SwitchedBroker(self._switch, LocalBroker(self._remote))
        self.presence = SwitchedPresenceManager(self._switch, LocalPresenceManager(self._remote))
        self.map_broker = SwitchedMapBroker(self._switch, LocalMapBroker(self._remote))
        self.controller = SwitchedController(self._switch, LocalController(self._remote))
        self.keys = LocalKeyDirectory(lambda: self._remote)

    async def start(self) -> None:
        """Connects to the host.

        Raises:
            OSError: it is not there.
        """
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    await self._connect(self._remote)
                    return
                except OSError:
                    await asyncio.sleep(PAUSE_SECONDS)

    async def tell_ready(self, number: int) -> None:
        """Tells the host that this worker is ready to accept connections; returns when it may.

        Args:
            number: of the worker.

        Raises:
            BrokerError: the host is gone.
        """
        await self._remote.call(_REPORT, number)

    async def stop(self) -> None:
        """Ends the link."""
        self._stopping = True
        for task in (self._reconnecting, self._ping):
            if task is not None:
                task.cancel()
        self._remote.link.abort()

    def check(self) -> None:
        """Finds out whether the host still answers. To be called every second."""
        now = asyncio.get_running_loop().time()
        if self._ping is not None:
            if self._reconnecting is None and now - self._pinged_at > SILENT_SECONDS:
                logger.warning("engine_silent", seconds=round(now - self._pinged_at, 1))
                self._remote.link.abort()
            return
        if self._reconnecting is None:
            self._pinged_at = now
            self._ping = asyncio.get_running_loop().create_task(self._ask_ping())

    async def _ask_ping(self) -> None:
        try:
            await self._remote.call(_PING, "nobody", b"")
        except BrokerError:
            pass
        finally:
            self._ping = None

    async def _connect(self, remote: Remote) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: remote.link, self._path)

    def _lost(self) -> None:
        if self._stopping or self._reconnecting is not None:
            return
        logger.warning("engine_lost")
        self._switch.hold()
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        loop = asyncio.get_running_loop()
        lost_at = loop.time()
        try:
            while True:
                if loop.time() - lost_at > HELD_SECONDS:
                    self._switch.release()
                remote = Remote(self._lost_again)
                try:
                    await self._connect(remote)
                    self._remote = remote
                    async with asyncio.timeout(SILENT_SECONDS):
                        await self._exchange(remote)
                    break
                except (OSError, BrokerError):
                    remote.link.abort()
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._reconnecting = None
            self._switch.release()
        logger.info("engine_found", after_seconds=round(loop.time() - lost_at, 3))
        if not remote.link.is_open:
            self._lost()
        self.interrupted()

    def _lost_again(self) -> None:
        if self._reconnecting is None:
            self._lost()

    async def _exchange(self, remote: Remote) -> None:
        await self.broker.exchange(LocalBroker(remote))
        await self.map_broker.exchange(LocalMapBroker(remote))
        await self.controller.exchange(LocalController(remote))
        self.presence.current = LocalPresenceManager(remote)
