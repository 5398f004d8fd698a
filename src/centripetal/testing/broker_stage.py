"""The stage on which suites of brokers and map brokers play: one of them, time, channels."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar
from unittest import SkipTest

from ..interfaces import Distributor
from .events import RecordedEvents

B = TypeVar("B", bound=Distributor)


class BrokerStage(Generic[B]):
    """Says how to make a broker.

    Every test uses channels of its own, so that a store may be shared and need not be emptied.

    Attributes:
        patient: set False where lifetimes cannot be waited for in a test; then advance() is not called.
        ttl_seconds: a lifetime that advance() can outlast.
    """

    patient = True
    ttl_seconds = 60.0

    def make_broker(self) -> B:
        """Returns a broker, not bound and not started. Called within a running loop."""
        raise SkipTest("the suite itself has no broker")

    async def advance(self, broker: B, seconds: float) -> None:
        """Lets at least so many seconds pass for the broker, sweeps included."""
        raise SkipTest("no way to let time pass")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[B, RecordedEvents]]:
        """Gives a started broker and what it distributes; stops it at the end."""
        broker, events = self.make_broker(), RecordedEvents()
        broker.bind(events)
        await broker.start()
        try:
            yield broker, events
        finally:
            await broker.stop()

    def run(self, scenario: Callable[[B, RecordedEvents], Awaitable[None]]) -> None:
        """Runs a scenario with a broker of its own."""

        async def main() -> None:
            async with self.opened() as (broker, events):
                await scenario(broker, events)

        asyncio.run(main())

    def channel(self) -> str:
        """Returns a channel that nobody else uses."""
        return f"test:{uuid.uuid4().hex}"
