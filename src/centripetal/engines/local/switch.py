"""An engine that can be exchanged while the node uses it: what is asked meanwhile waits, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar, cast

from ...interfaces import (
    Broker,
    BrokerEvents,
    ControlEvents,
    Controller,
    Distributor,
    HistoryFilter,
    MapBroker,
    MapBrokerEvents,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    PresenceManager,
    PresenceStats,
    PublishOptions,
    PublishResult,
    StateFilter,
    StatePage,
)
from ...model import ClientInfo, Publication, StreamPosition

CHANNELS_AT_ONCE = 1000
"""So many channels are asked for at once at another broker."""


class Switch:
    """Whether an engine is held, for all its parts."""

    __slots__ = ("_released",)

    def __init__(self) -> None:
        self._released: asyncio.Event | None = None

    def hold(self) -> None:
        """Lets everything that is asked from now on wait."""
        if self._released is None:
            self._released = asyncio.Event()

    def release(self) -> None:
        """Goes on with what waits, in its order."""
        released, self._released = self._released, None
        if released is not None:
            released.set()

    @property
    def is_held(self) -> bool:
        """Whether what is asked waits."""
        return self._released is not None

    async def passed(self) -> None:
        """Returns when nothing is held; at once, without a turn of the loop, if that is so now."""
        while self._released is not None:
            await self._released.wait()


D = TypeVar("D", bound=Distributor)
E = TypeVar("E")


class SwitchedDistributor(Generic[D, E]):
    """A broker or map broker that can be exchanged, and with it what the node wants of it.

    Args:
        switch: holds it.
        current: the one in use.

    Attributes:
        current: the one in use.
        channels: those that the node wants.
        events: what publications or changes go to, once bound.
    """

    def __init__(self, switch: Switch, current: D) -> None:
        self.current = current
        self.channels: set[str] = set()
        self.events: E | None = None
        self._switch = switch

    async def exchange(self, heir: D) -> None:
        """Prepares another one and takes it. Everything must be held."""
        if self.events is not None:
            heir.bind(self.events)
        channels = list(self.channels)
        for start in range(0, len(channels), CHANNELS_AT_ONCE):
            await asyncio.gather(*map(heir.subscribe, channels[start : start + CHANNELS_AT_ONCE]))
        self.current = heir

    def bind(self, events: E) -> None:
        """Tells where events go."""
        self.events = events
        self.current.bind(events)

    async def start(self) -> None:
        """Starts the one in use."""
        await self.current.start()

    async def stop(self) -> None:
        """Stops the one in use."""
        await self.current.stop()

    async def subscribe(self, channel: str) -> None:
        """The node wants the channel."""
        await self._switch.passed()
        await self.current.subscribe(channel)
        self.channels.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """The node does not want it any more."""
        await self._switch.passed()
        self.channels.discard(channel)
        await self.current.unsubscribe(channel)


class SwitchedBroker(SwitchedDistributor[Broker, BrokerEvents]):
    """A broker that can be exchanged; implements `interfaces.ImmediateBroker`."""

    def begin_publish(
        self, channel: str, data: bytes, options: PublishOptions
    ) -> PublishResult | Coroutine[Any, Any, PublishResult]:
        """Publishes at once if nothing is held and the broker in use can."""
        begin = getattr(self.current, "begin_publish", None)
        if begin is None or self._switch.is_held:
            return self.publish(channel, data, options)
        return cast("PublishResult | Coroutine[Any, Any, PublishResult]", begin(channel, data, options))

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Publishes; see Broker."""
        await self._switch.passed()
        return await self.current.publish(channel, data, options)

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Distributes a join."""
        await self._switch.passed()
        await self.current.publish_join(channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Distributes a leave."""
        await self._switch.passed()
        await self.current.publish_leave(channel, info)

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Reads a stream; see Broker."""
        await self._switch.passed()
        return await self.current.history(channel, wanted, history_meta_ttl_seconds)

    async def remove_history(self, channel: str) -> None:
        """Removes the publications."""
        await self._switch.passed()
        await self.current.remove_history(channel)


class SwitchedPresenceManager:
    """Presence that can be exchanged; implements `interfaces.PresenceManager`."""

    def __init__(self, switch: Switch, presence: PresenceManager) -> None:
        self.current = presence
        self._switch = switch

    async def start(self) -> None:
        """Starts the one in use."""
        await self.current.start()

    async def stop(self) -> None:
        """Stops the one in use."""
        await self.current.stop()

    async def add(self, channel: str, client: str, info: ClientInfo) -> None:
        """Adds or renews an entry."""
        await self._switch.passed()
        await self.current.add(channel, client, info)

    async def remove(self, channel: str, client: str) -> None:
        """Removes an entry."""
        await self._switch.passed()
        await self.current.remove(channel, client)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns the entries by connection id."""
        await self._switch.passed()
        return await self.current.presence(channel)

    async def stats(self, channel: str) -> PresenceStats:
        """Returns the counts."""
        await self._switch.passed()
        return await self.current.stats(channel)


class SwitchedMapBroker(SwitchedDistributor[MapBroker, MapBrokerEvents]):
    """A map broker that can be exchanged; implements `interfaces.MapBroker`."""

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        """Writes a key; see MapBroker."""
        await self._switch.passed()
        return await self.current.publish(channel, key, data, options)

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        """Removes a key."""
        await self._switch.passed()
        return await self.current.remove(channel, key, options)

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        """Returns a page of the state."""
        await self._switch.passed()
        return await self.current.read_state(channel, wanted, retention)

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns changes and the stream's top."""
        await self._switch.passed()
        return await self.current.read_stream(channel, wanted, retention)

    async def count_keys(self, channel: str) -> int:
        """Returns how many keys there are."""
        await self._switch.passed()
        return await self.current.count_keys(channel)

    async def clear(self, channel: str) -> None:
        """Drops state and stream."""
        await self._switch.passed()
        await self.current.clear(channel)


class SwitchedController:
    """A controller that can be exchanged; implements `interfaces.Controller`."""

    def __init__(self, switch: Switch, controller: Controller) -> None:
        self.current = controller
        self.events: ControlEvents | None = None
        self._switch = switch
        self._node = ""

    async def exchange(self, controller: Controller) -> None:
        """Prepares another controller and takes it. Everything must be held."""
        if self.events is not None:
            controller.bind(self.events)
        if self._node:
            await controller.start(self._node)
        self.current = controller

    def bind(self, events: ControlEvents) -> None:
        """Tells where messages go."""
        self.events = events
        self.current.bind(events)

    async def start(self, node: str) -> None:
        """Begins to receive."""
        self._node = node
        await self.current.start(node)

    async def stop(self) -> None:
        """Ends it."""
        await self.current.stop()

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message."""
        await self._switch.passed()
        await self.current.send(address, message)
