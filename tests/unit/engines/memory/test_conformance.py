"""The in-memory engine under the suites that every engine must pass."""

from __future__ import annotations

from centripetal.engines.memory import MemoryBroker, MemoryMapBroker, MemoryPresenceManager
from centripetal.interfaces import Broker, MapBroker, PresenceManager
from centripetal.testing import BrokerSuite, ManualClock, MapBrokerSuite, PresenceManagerSuite


class TestMemoryBroker(BrokerSuite):
    def make_broker(self) -> Broker:
        self.clock = ManualClock()
        return MemoryBroker(self.clock, history_meta_ttl_seconds=86400.0)

    async def advance(self, broker: Broker, seconds: float) -> None:
        self.clock.advance(seconds)


class TestMemoryBrokerSwept(TestMemoryBroker):
    """The sweep must not change what anybody sees."""

    async def advance(self, broker: Broker, seconds: float) -> None:
        assert isinstance(broker, MemoryBroker)
        for _ in range(40):
            self.clock.advance(seconds / 40)
            broker.sweep(1000)


class TestMemoryMapBroker(MapBrokerSuite):
    steps = 1

    def make_broker(self) -> MapBroker:
        self.clock = ManualClock()
        return MemoryMapBroker(self.clock)

    async def advance(self, broker: MapBroker, seconds: float) -> None:
        assert isinstance(broker, MemoryMapBroker)
        for _ in range(self.steps):
            self.clock.advance(seconds / self.steps)
            while broker.sweep(1000):
                pass


class TestMemoryMapBrokerSweptOften(TestMemoryMapBroker):
    """How often the sweep comes must not change what anybody sees."""

    steps = 40


class TestMemoryPresenceManager(PresenceManagerSuite):
    def make_presence_manager(self) -> PresenceManager:
        self.clock = ManualClock()
        return MemoryPresenceManager(self.clock, ttl_seconds=self.ttl_seconds)

    async def advance(self, manager: PresenceManager, seconds: float) -> None:
        self.clock.advance(seconds)
