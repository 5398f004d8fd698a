"""A map broker whose every step waits until the test lets it go on, and whose changes arrive late, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import (
    HistoryFilter,
    MapBrokerEvents,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    StateFilter,
    StatePage,
)
from centripetal.model import ClientInfo, Publication, StreamPosition


class SlowMapBroker:
    """Wraps the broker in memory. A read waits before it is done and again before its answer is there."""

    def __init__(self, broker: MemoryMapBroker) -> None:
        self._broker = broker
        self._events: MapBrokerEvents | None = None
        self._subscribed: set[str] = set()
        self.gates: list[asyncio.Future[None]] = []
        self.arrivals: deque[tuple[Any, ...]] = deque()

    def bind(self, events: MapBrokerEvents) -> None:
        self._events = events
        self._broker.bind(self)

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    async def _gate(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate

    def open_gate(self, number: int) -> None:
        """Lets one waiting step go on."""
        gate = self.gates.pop(number % len(self.gates))
        if not gate.done():
            gate.set_result(None)

    def deliver_next(self, *, drop: bool = False) -> None:
        """Delivers the oldest change on its way, or loses it."""
        channel, *change = self.arrivals.popleft()
        if channel in self._subscribed and not drop:
            assert self._events is not None
            if change:
                self._events.on_publication(channel, *change)
            else:
                self._events.on_state_lost(channel)

    def on_publication(
        self,
        channel: str,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        if channel in self._subscribed:
            self.arrivals.append((channel, publication, position, use_delta, previous))

    def on_state_lost(self, channel: str) -> None:
        if channel in self._subscribed:
            self.arrivals.append((channel,))

    def on_join(self, channel: str, info: ClientInfo) -> None:
        pass

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        pass

    async def subscribe(self, channel: str) -> None:
        await self._gate()
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._gate()
        self._subscribed.discard(channel)
        self.arrivals = deque(arrival for arrival in self.arrivals if arrival[0] != channel)

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        return await self._broker.publish(channel, key, data, options)

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        return await self._broker.remove(channel, key, options)

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        await self._gate()
        page = await self._broker.read_state(channel, wanted, retention)
        await self._gate()
        return page

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        await self._gate()
        changes = await self._broker.read_stream(channel, wanted, retention)
        await self._gate()
        return changes

    async def count_keys(self, channel: str) -> int:
        return await self._broker.count_keys(channel)

    async def clear(self, channel: str) -> None:
        await self._broker.clear(channel)
