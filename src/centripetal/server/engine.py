"""The engine of a configuration, and its exchange while the node uses it."""

from __future__ import annotations

from typing import Protocol

from ..config import Config
from ..engines.local import Host, LocalEngine, Switch, SwitchedBroker, SwitchedMapBroker, SwitchedPresenceManager
from ..engines.memory import MemoryBroker, MemoryEngine, MemoryMapBroker, MemoryPresenceManager
from ..interfaces import Broker, Clock, MapBroker, PresenceManager


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
        self.group = group
        self.session_prefix = f"{number:02x}"


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

    async def hold(self) -> None:
        """Holds everything that the node asks, and lets the state rest."""
        self._switch.hold()
        for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
            await part.stop()

    async def go_on(self) -> None:
        """Goes on with the memory engine after all."""
        if self._switch.is_held:
            self.broker.current, self.presence.current = self.memory.broker, self.memory.presence
            self.map_broker.current = self.memory.map_broker
            self.keep_alone()
            for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
                await part.start()
            self._switch.release()

    async def move_to(self, broker: Broker, presence: PresenceManager, map_broker: MapBroker) -> None:
        """Goes on with another engine, which has the state already."""
        await self.broker.exchange(broker)
        await self.map_broker.exchange(map_broker)
        self.presence.current = presence
        self._switch.release()

    def share(self, host: Host) -> None:
        """Distributes to the guests of a host, too."""
        host.events["broker"].bind(self.broker.events)
        self.memory.broker.bind(host.events["broker"])
        host.events["map_broker"].bind(self.map_broker.events)
        self.memory.map_broker.bind(host.events["map_broker"])

    def keep_alone(self) -> None:
        """Distributes to this node only."""
        if self.broker.events is not None:
            self.memory.broker.bind(self.broker.events)
        if self.map_broker.events is not None:
            self.memory.map_broker.bind(self.map_broker.events)
