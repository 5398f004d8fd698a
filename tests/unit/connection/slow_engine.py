"""An engine whose every step waits for the test, and fails where the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from centripetal.engines.memory import MemoryBroker, MemoryPresenceManager
from centripetal.interfaces import (
    BrokerError,
    BrokerEvents,
    HistoryFilter,
    PresenceError,
    PresenceStats,
    PublishOptions,
    PublishResult,
)
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.testing import ManualClock

T = TypeVar("T")


class Gates:
    """Steps of the engine that wait. While `open` is set, none does."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, asyncio.Future[bool]]] = []
        self.open = False

    async def pass_through(self, step: str, failure: Callable[[str], Exception]) -> None:
        if self.open:
            return
        gate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (step, gate)
        self.waiting.append(entry)
        try:
            goes_well = await gate
        except asyncio.CancelledError:
            if entry in self.waiting:
                self.waiting.remove(entry)
            raise
        if not goes_well:
            raise failure(f"{step} failed")

    def let_go(self, number: int = 0, *, well: bool = True) -> str:
        """Lets one waiting step go on, or fail; returns its name."""
        step, gate = self.waiting.pop(number % len(self.waiting))
        if not gate.done():
            gate.set_result(well)
        return step

    def steps(self) -> list[str]:
        return [step for step, _ in self.waiting]


class GatedBroker:
    """A memory broker behind gates, that distributes only to channels subscribed to."""

    def __init__(self, gates: Gates, clock: ManualClock) -> None:
        self._inner = MemoryBroker(clock, history_meta_ttl_seconds=3600)
        self._gates = gates
        self._events: BrokerEvents | None = None
        self.subscribed: set[str] = set()
        self.not_unsubscribed: set[str] = set()
        self.joined: list[tuple[str, str]] = []
        self.left: list[tuple[str, str]] = []

    def bind(self, events: BrokerEvents) -> None:
        self._events = events
        self._inner.bind(self)

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    def on_publication(self, channel: str, publication: Publication, *rest: Any) -> None:
        if channel in self.subscribed:
            assert self._events is not None
            self._events.on_publication(channel, publication, *rest)

    def on_join(self, channel: str, info: ClientInfo) -> None:
        if channel in self.subscribed:
            assert self._events is not None
            self._events.on_join(channel, info)

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        if channel in self.subscribed:
            assert self._events is not None
            self._events.on_leave(channel, info)

    async def _do(self, step: str, work: Callable[[], Awaitable[T]]) -> T:
        await self._gates.pass_through(step, BrokerError)
        result = await work()
        await self._gates.pass_through(f"{step} answer", BrokerError)
        return result

    async def subscribe(self, channel: str) -> None:
        await self._gates.pass_through(f"subscribe {channel}", BrokerError)
        self.subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        self.not_unsubscribed.add(channel)
        await self._gates.pass_through(f"unsubscribe {channel}", BrokerError)
        self.not_unsubscribed.discard(channel)
        self.subscribed.discard(channel)

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        return await self._do(f"publish {channel}", lambda: self._inner.publish(channel, data, options))

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        await self._gates.pass_through(f"join {channel}", BrokerError)
        self.joined.append((channel, info.client))
        await self._inner.publish_join(channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        await self._gates.pass_through(f"leave {channel}", BrokerError)
        self.left.append((channel, info.client))
        await self._inner.publish_leave(channel, info)

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        return await self._do(
            f"history {channel}", lambda: self._inner.history(channel, wanted, history_meta_ttl_seconds)
        )

    async def remove_history(self, channel: str) -> None:
        await self._inner.remove_history(channel)


class GatedPresence:
    """A memory presence manager behind gates. Steps of one manager happen in the order in which they were asked for."""

    def __init__(self, gates: Gates, clock: ManualClock) -> None:
        self.inner = MemoryPresenceManager(clock)
        self._gates = gates

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()

    async def add(self, channel: str, client: str, info: ClientInfo) -> None:
        await self.inner.add(channel, client, info)
        await self._gates.pass_through(f"add {channel}", PresenceError)

    async def remove(self, channel: str, client: str) -> None:
        await self.inner.remove(channel, client)
        await self._gates.pass_through(f"remove {channel}", PresenceError)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        await self._gates.pass_through(f"presence {channel}", PresenceError)
        return await self.inner.presence(channel)

    async def stats(self, channel: str) -> PresenceStats:
        await self._gates.pass_through(f"stats {channel}", PresenceError)
        return await self.inner.stats(channel)
