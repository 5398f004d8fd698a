"""The engine of a configuration, and its exchange while the node uses it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from ..config import Config
from ..engines.local import (
    Host,
    LocalBroker,
    LocalController,
    LocalEngine,
    LocalMapBroker,
    LocalPresenceManager,
    Post,
    Remote,
    Switch,
    SwitchedBroker,
    SwitchedMapBroker,
    SwitchedPresenceManager,
)
from ..engines.local.switch import CHANNELS_AT_ONCE
from ..engines.memory import MemoryBroker, MemoryEngine, MemoryMapBroker, MemoryPresenceManager
from ..interfaces import Broker, Clock, MapBroker, PresenceManager
from .takeover import Predecessor


class Engine(Protocol):
    """What a node keeps its state in."""

    @property
    def broker(self) -> Broker:
        """Streams."""

    @property
    def presence(self) -> PresenceManager:
        """Who is there."""

    @property
    def map_broker(self) -> MapBroker:
        """Keyed state."""


class WorkerEngine(LocalEngine):
    """The engine of one of several workers.

    Args:
        path: of the Unix socket of the process that keeps the engine.
        group: id that the workers have in common.
        number: of the worker.
    """

    def __init__(self, path: str, group: str, number: int) -> None:
        super().__init__(path)
        self._number = number
        self.group = group
        self.session_prefix = f"{number:02x}"

    async def report(self) -> None:
        """Tells the engine that this worker is ready to accept connections; returns when it may.

        Raises:
            BrokerError: the engine is gone.
        """
        await self.tell_ready(self._number)


def memory_engine(config: Config, clock: Clock) -> MemoryEngine:
    """Returns an engine that keeps everything in this process."""
    return MemoryEngine(
        MemoryBroker(clock, history_meta_ttl_seconds=config.channel.history_meta_ttl),
        MemoryPresenceManager(clock),
        MemoryMapBroker(clock),
    )


class SwitchedEngine:
    """A memory engine that another process can take up while the node goes on.

    Attributes:
        memory: what it is at first.
        broker, presence, map_broker: what the node uses.
    """

    def __init__(self, memory: MemoryEngine) -> None:
        self._switch = Switch()
        self.memory = memory
        self.broker = SwitchedBroker(self._switch, memory.broker)
        self.presence = SwitchedPresenceManager(self._switch, memory.presence)
        self.map_broker = SwitchedMapBroker(self._switch, memory.map_broker)
        self._guests: HostedEngine | None = None  # while a predecessor is there

    async def hold(self) -> None:
        """Holds everything that the node asks, and lets the state rest."""
        self._switch.hold()
        if self._guests is not None:
            await self._guests.hold()
        for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
            await part.stop()

    async def go_on(self) -> None:
        """Goes on with the memory engine after all."""
        if self._switch.is_held:
            self.broker.current, self.presence.current = self.memory.broker, self.memory.presence
            self.map_broker.current = self.memory.map_broker
            if self._guests is not None:
                await self._guests.go_on()
            for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
                await part.start()
            self._switch.release()

    async def prepare(self, remote: Remote) -> None:
        """Prepares to go on with an engine that has the state already."""
        await self.broker.exchange(LocalBroker(remote))
        await self.map_broker.exchange(LocalMapBroker(remote))
        self.presence.current = LocalPresenceManager(remote)
        if self._guests is not None:
            await self._guests.prepare(remote)  # events go to guests and node from then on

    def move(self) -> None:
        """Goes on with that engine."""
        self._switch.release()
        if self._guests is not None:
            self._guests.move()

    async def inherit(self, predecessor: Predecessor) -> None:
        """Takes up a predecessor's state, and serves it to the predecessor until that is gone.

        Raises:
            OSError: the state did not come.
        """
        memory, post = self.memory, Post()
        targets = {"broker": memory.broker, "presence": memory.presence, "map_broker": memory.map_broker}
        host = Host({**targets, "controller": post})
        post.bind(host.events["controller"])  # messages between the workers of the predecessor
        self._share(host)
        self._guests = HostedEngine(memory, host)
        await predecessor.inherit(host, memory, self._keep_alone)

    def _share(self, host: Host) -> None:
        """Distributes to the guests of a host, too."""
        host.events["broker"].bind(self.broker.events)
        self.memory.broker.bind(host.events["broker"])
        host.events["map_broker"].bind(self.map_broker.events)
        self.memory.map_broker.bind(host.events["map_broker"])

    def _keep_alone(self) -> None:
        """Distributes to this node only."""
        self._guests = None
        if self.broker.events is not None:
            self.memory.broker.bind(self.broker.events)
        if self.map_broker.events is not None:
            self.memory.map_broker.bind(self.map_broker.events)


class HostedEngine:
    """A memory engine of workers, which another process can take up while they go on.

    Args:
        memory: what the host serves at first.
        host: serves it to the workers, and their messages to each other.
    """

    def __init__(self, memory: MemoryEngine, host: Host) -> None:
        self.memory = memory
        self._host = host
        self._targets: dict[str, Any] = {}

    async def hold(self) -> None:
        """Holds everything that workers ask of the engine, and lets the state rest."""
        self._host.hold("broker", "presence", "map_broker")
        for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
            await part.stop()

    async def prepare(self, remote: Remote) -> None:
        """Prepares to pass on what workers ask to an engine that has the state already."""
        self._targets = {
            "broker": LocalBroker(remote),
            "presence": LocalPresenceManager(remote),
            "map_broker": LocalMapBroker(remote),
            "controller": LocalController(remote),
        }
        for target in ("broker", "map_broker", "controller"):
            # Messages between workers also tell whether the engine answers: they are held for a moment only.
            self._host.hold(target)
            events = self._host.events[target]
            remote.bind(target, events)
            wanted = list(events.interested)
            for start in range(0, len(wanted), CHANNELS_AT_ONCE):
                await asyncio.gather(*map(self._targets[target].subscribe, wanted[start : start + CHANNELS_AT_ONCE]))

    def move(self) -> None:
        """Goes on with that engine."""
        self._host.relay(self._targets)
        self._host.release()

    async def go_on(self) -> None:
        """Goes on with the memory engine after all."""
        if self._host.held:
            for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
                await part.start()
            self._host.release()
