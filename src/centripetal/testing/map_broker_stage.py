"""The stage on which suites of map brokers play: a broker, time, channels, lifetimes."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from unittest import SkipTest

from ..interfaces import HistoryFilter, MapBroker, MapRetention, StateFilter
from ..model import ClientInfo, Publication
from .events import RecordedEvents

WHOLE_STATE = StateFilter(limit=-1)
WHOLE_STREAM = HistoryFilter(limit=-1)
INFO = ClientInfo("alice", "client-1", b'{"name":"Alice"}', b'{"role":"admin"}')

Scenario = Callable[[MapBroker, RecordedEvents], Awaitable[None]]


def keyed(publications: list[Publication]) -> list[tuple[str, bytes]]:
    """Returns key and data of each publication; the data of a removal is `-`."""
    return [(each.key, b"-" if each.removed else each.data) for each in publications]


@contextlib.contextmanager
def raises(expected: type[Exception]) -> Iterator[None]:
    """Checks that the block fails as expected."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was not raised")


class MapBrokerStage:
    """Says how to make a broker; see MapBrokerSuite.

    Every test uses channels of its own, so that a store may be shared and need not be emptied.

    Attributes:
        patient: set False where lifetimes cannot be waited for in a test; then advance() is not called.
        ttl_seconds: a lifetime that advance() can outlast.
        exact_pages: set False for a broker that may give more keys than asked for.
        keeps_order: set False for a broker whose pages do not go by key.
        ordered: set False for a broker without scores.
    """

    patient = True
    ttl_seconds = 60.0
    exact_pages = True
    keeps_order = True
    ordered = True

    def make_broker(self) -> MapBroker:
        """Returns a broker, not bound and not started. Called within a running loop."""
        raise SkipTest("the suite itself has no broker")

    async def advance(self, broker: MapBroker, seconds: float) -> None:
        """Lets at least so many seconds pass for the broker, sweeps included."""
        raise SkipTest("no way to let time pass")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[MapBroker, RecordedEvents]]:
        """Gives a started broker and what it distributes; stops it at the end."""
        broker, events = self.make_broker(), RecordedEvents()
        broker.bind(events)
        await broker.start()
        try:
            yield broker, events
        finally:
            await broker.stop()

    def run(self, scenario: Scenario) -> None:
        """Runs a scenario with a broker of its own."""

        async def main() -> None:
            async with self.opened() as (broker, events):
                await scenario(broker, events)

        asyncio.run(main())

    def channel(self) -> str:
        """Returns a channel that nobody else uses."""
        return f"test:{uuid.uuid4().hex}"

    @property
    def ephemeral(self) -> MapRetention:
        """Keys that expire, and no stream."""
        return MapRetention(key_ttl_seconds=self.ttl_seconds)

    @property
    def recoverable(self) -> MapRetention:
        """Keys that expire, and a stream."""
        return MapRetention(
            key_ttl_seconds=self.ttl_seconds,
            stream_size=10,
            stream_ttl_seconds=self.ttl_seconds * 2,
            meta_ttl_seconds=self.ttl_seconds * 20,
        )

    @property
    def persistent(self) -> MapRetention:
        """Keys that stay, and a stream."""
        return MapRetention(stream_size=10, stream_ttl_seconds=self.ttl_seconds)

    def be_patient(self) -> None:
        """Skips a test that has to wait for the end of lifetimes, where that cannot be done."""
        if not self.patient:
            raise SkipTest("lifetimes cannot be waited for")
