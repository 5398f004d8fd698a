"""The local engine under the suites that every engine must pass."""

from __future__ import annotations

from centripetal.engines.local import LocalBroker, LocalMapBroker, LocalPresenceManager, Remote
from centripetal.engines.memory import MemoryBroker, MemoryMapBroker, MemoryPresenceManager
from centripetal.interfaces import Broker, MapBroker, PresenceManager
from centripetal.testing import BrokerSuite, ManualClock, MapBrokerSuite, PresenceManagerSuite

from .pair import Linked


class LinkedBroker(Linked, LocalBroker):
    def __init__(self, clock: ManualClock) -> None:
        self.remote = Remote()
        LocalBroker.__init__(self, self.remote)
        self.keep(broker=MemoryBroker(clock, history_meta_ttl_seconds=86400.0))


class TestLocalBroker(BrokerSuite):
    def make_broker(self) -> Broker:
        self.clock = ManualClock()
        return LinkedBroker(self.clock)

    async def advance(self, broker: Broker, seconds: float) -> None:
        self.clock.advance(seconds)


class LinkedMapBroker(Linked, LocalMapBroker):
    def __init__(self, clock: ManualClock) -> None:
        self.remote = Remote()
        LocalMapBroker.__init__(self, self.remote)
        self.keep(map_broker=MemoryMapBroker(clock))


class TestLocalMapBroker(MapBrokerSuite):
    def make_broker(self) -> MapBroker:
        self.clock = ManualClock()
        return LinkedMapBroker(self.clock)

    async def advance(self, broker: MapBroker, seconds: float) -> None:
        assert isinstance(broker, LinkedMapBroker)
        self.clock.advance(seconds)
        while broker.kept["map_broker"].sweep(1000):
            pass


class LinkedPresenceManager(Linked, LocalPresenceManager):
    def __init__(self, clock: ManualClock, ttl_seconds: float) -> None:
        self.remote = Remote()
        LocalPresenceManager.__init__(self, self.remote)
        self.keep(presence=MemoryPresenceManager(clock, ttl_seconds=ttl_seconds))


class TestLocalPresenceManager(PresenceManagerSuite):
    def make_presence_manager(self) -> PresenceManager:
        self.clock = ManualClock()
        return LinkedPresenceManager(self.clock, self.ttl_seconds)

    async def advance(self, manager: PresenceManager, seconds: float) -> None:
        self.clock.advance(seconds)
