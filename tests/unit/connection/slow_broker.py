"""A broker whose every step waits until the test lets it go on, and whose publications arrive late, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from centripetal.interfaces import Broker, BrokerEvents, HistoryFilter, PublishOptions, PublishResult
from centripetal.model import ClientInfo, Publication, StreamPosition


class SlowBroker:
    """Wraps a broker. Reads happen when they are let go on; deliveries when `deliver_next` is called."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._events: BrokerEvents | None = None
        self._subscribed: set[str] = set()
        self.gates: list[asyncio.Future[None]] = []
        self.arrivals: deque[tuple[Any, ...]] = deque()

    def bind(self, events: BrokerEvents) -> None:
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
        """Delivers the oldest publication on its way, or loses it."""
        channel, publication, position, use_delta, previous = self.arrivals.popleft()
        if channel in self._subscribed and not drop:
            assert self._events is not None
            self._events.on_publication(channel, publication, position, use_delta, previous)

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

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        return await self._broker.publish(channel, data, options)

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        await self._gate()

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        await self._gate()

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        await self._gate()
        result = await self._broker.history(channel, wanted, history_meta_ttl_seconds)
        await self._gate()
        return result

    async def remove_history(self, channel: str) -> None:
        await self._broker.remove_history(channel)
