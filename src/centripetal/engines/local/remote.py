"""The engine of a process whose broker, presence and maps another process of the machine keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from ...interfaces import (
    BrokerEvents,
    ControlEvents,
    HistoryFilter,
    KeyAnswer,
    MapBrokerEvents,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    PresenceStats,
    PublishOptions,
    PublishResult,
    StateFilter,
    StatePage,
)
from ...model import ClientInfo, Publication, StreamPosition
from .link import Link, LinkError, frame
from .methods import EVENT_ID, EVENTS, METHOD_OF, RESULT, Call

_log = structlog.get_logger("centripetal.engines")

Pending = tuple["asyncio.Future[Any]", Call]


class Remote:
    """Asks the host over a link, and passes on what it tells.

    Args:
        lost: called when the link has ended.
        keeps_interest: go on to be told of channels that are not wanted any more; for one that ends soon, and where several
            may want a channel.

    Attributes:
        link: to the host; the protocol of a connection.
    """

    def __init__(self, lost: Callable[[], None] = lambda: None, *, keeps_interest: bool = False) -> None:
        self.keeps_interest = keeps_interest
        self.link = Link(self._receive, self._lost)
        self._on_lost = lost
        self._handlers: list[Callable[..., None] | None] = [None] * len(EVENTS)
        self._pending: dict[int, Pending] = {}
        self._last_id = 0

    def bind(self, target: str, events: BrokerEvents | ControlEvents) -> None:
        """Tells where the events of a broker go."""
        for event in EVENTS:
            if event.target == target:
                self._handlers[event.number] = getattr(events, event.name)

    async def call(self, method: Call, *arguments: Any) -> Any:
        """Asks the host.

        Args:
            method: what.
            arguments: of it.

        Returns:
            Its result.

        Raises:
            Exception: `method.error`, if the host could not do it or is gone.
        """
        link = self.link
        if link.is_choked:
            await link.wait_writable()
        if not link.is_open:
            raise method.error("the process that keeps the engine is gone")
        self._last_id = number = self._last_id + 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer, method
        link.send(frame(number, method.number, arguments))
        return await answer

    def _receive(self, request: int, kind: int, body: memoryview) -> None:
        if request == EVENT_ID:
            if kind >= len(EVENTS):
                raise LinkError(f"event {kind}")
            handle = self._handlers[kind]
            if handle is not None:
                handle(*EVENTS[kind].decode_arguments(body))
            return
        pending = self._pending.pop(request, None)
        if pending is None:
            raise LinkError(f"an answer to {request}, which was not asked")
        answer, method = pending
        if answer.done():  # whoever asked has gone
            return
        if kind == RESULT:
            answer.set_result(method.decode_result(body))
        else:
            answer.set_exception(method.error(msgspec.msgpack.decode(body, type=str)))

    def _lost(self) -> None:
        pending, self._pending = self._pending, {}
        for answer, method in pending.values():
            if not answer.done():
                answer.set_exception(method.error("the process that keeps the engine is gone"))
        self._on_lost()


_PUBLISH = METHOD_OF["broker", "publish"]
_PUBLISH_JOIN = METHOD_OF["broker", "publish_join"]
_PUBLISH_LEAVE = METHOD_OF["broker", "publish_leave"]
_HISTORY = METHOD_OF["broker", "history"]
_REMOVE_HISTORY = METHOD_OF["broker", "remove_history"]
_SUBSCRIBE = METHOD_OF["broker", "subscribe"]
_UNSUBSCRIBE = METHOD_OF["broker", "unsubscribe"]


class LocalBroker:
    """A broker that another process keeps; implements `interfaces.Broker`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def bind(self, events: BrokerEvents) -> None:
        """Tells where publications go."""
        self._remote.bind("broker", events)

    async def start(self) -> None:
        """Nothing to do: the link is there already."""

    async def stop(self) -> None:
        """Nothing to do: the link is not this broker's alone."""

    async def subscribe(self, channel: str) -> None:
        """Asks to be told of the channel."""
        await self._remote.call(_SUBSCRIBE, channel)

    async def unsubscribe(self, channel: str) -> None:
        """Asks not to be told any more."""
        if not self._remote.keeps_interest:
            await self._remote.call(_UNSUBSCRIBE, channel)

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Publishes; see Broker."""
        return await self._remote.call(_PUBLISH, channel, data, options)  # type: ignore[no-any-return]

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Distributes a join."""
        await self._remote.call(_PUBLISH_JOIN, channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Distributes a leave."""
        await self._remote.call(_PUBLISH_LEAVE, channel, info)

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Reads a stream; see Broker."""
        return await self._remote.call(_HISTORY, channel, wanted, history_meta_ttl_seconds)  # type: ignore[no-any-return]

    async def remove_history(self, channel: str) -> None:
        """Removes the publications."""
        await self._remote.call(_REMOVE_HISTORY, channel)


_ADD = METHOD_OF["presence", "add"]
_REMOVE = METHOD_OF["presence", "remove"]
_PRESENCE = METHOD_OF["presence", "presence"]
_STATS = METHOD_OF["presence", "stats"]


class LocalPresenceManager:
    """Presence that another process keeps; implements `interfaces.PresenceManager`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def add(self, channel: str, client: str, info: ClientInfo) -> None:
        """Adds or renews an entry."""
        await self._remote.call(_ADD, channel, client, info)

    async def remove(self, channel: str, client: str) -> None:
        """Removes an entry."""
        await self._remote.call(_REMOVE, channel, client)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns the entries by connection id."""
        return await self._remote.call(_PRESENCE, channel)  # type: ignore[no-any-return]

    async def stats(self, channel: str) -> PresenceStats:
        """Returns the counts."""
        return await self._remote.call(_STATS, channel)  # type: ignore[no-any-return]


_MAP_PUBLISH = METHOD_OF["map_broker", "publish"]
_MAP_REMOVE = METHOD_OF["map_broker", "remove"]
_READ_STATE = METHOD_OF["map_broker", "read_state"]
_READ_STREAM = METHOD_OF["map_broker", "read_stream"]
_COUNT_KEYS = METHOD_OF["map_broker", "count_keys"]
_CLEAR = METHOD_OF["map_broker", "clear"]
_MAP_SUBSCRIBE = METHOD_OF["map_broker", "subscribe"]
_MAP_UNSUBSCRIBE = METHOD_OF["map_broker", "unsubscribe"]


class LocalMapBroker:
    """Maps that another process keeps; implements `interfaces.MapBroker`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def bind(self, events: MapBrokerEvents) -> None:
        """Tells where changes go."""
        self._remote.bind("map_broker", events)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def subscribe(self, channel: str) -> None:
        """Asks to be told of the channel."""
        await self._remote.call(_MAP_SUBSCRIBE, channel)

    async def unsubscribe(self, channel: str) -> None:
        """Asks not to be told any more."""
        if not self._remote.keeps_interest:
            await self._remote.call(_MAP_UNSUBSCRIBE, channel)

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        """Writes a key; see MapBroker."""
        return await self._remote.call(_MAP_PUBLISH, channel, key, data, options)  # type: ignore[no-any-return]

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        """Removes a key."""
        return await self._remote.call(_MAP_REMOVE, channel, key, options)  # type: ignore[no-any-return]

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        """Returns a page of the state."""
        return await self._remote.call(_READ_STATE, channel, wanted, retention)  # type: ignore[no-any-return]

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns changes and the stream's top."""
        return await self._remote.call(_READ_STREAM, channel, wanted, retention)  # type: ignore[no-any-return]

    async def count_keys(self, channel: str) -> int:
        """Returns how many keys there are."""
        return await self._remote.call(_COUNT_KEYS, channel)  # type: ignore[no-any-return]

    async def clear(self, channel: str) -> None:
        """Drops state and stream."""
        await self._remote.call(_CLEAR, channel)


_POST_SUBSCRIBE = METHOD_OF["controller", "subscribe"]
_SEND = METHOD_OF["controller", "send"]


class LocalController:
    """Messages between the processes of a machine; implements `interfaces.Controller`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def bind(self, events: ControlEvents) -> None:
        """Tells where messages go."""
        self._remote.bind("controller", events)

    async def start(self, node: str) -> None:
        """Asks for what goes to this node and to all."""
        await self.subscribe(node)
        await self.subscribe("")

    async def subscribe(self, address: str) -> None:
        """Asks for what goes to an address; empty for what goes to all."""
        await self._remote.call(_POST_SUBSCRIBE, address)

    async def stop(self) -> None:
        """Nothing to do."""

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message."""
        await self._remote.call(_SEND, address, message)


_FIND_KEY = METHOD_OF["keys", "find"]


class LocalKeyDirectory:
    """Keys that another process fetches and keeps; implements `interfaces.KeyDirectory`.

    Args:
        remote: returns the link in use. What is asked while there is none fails at once.
    """

    def __init__(self, remote: Callable[[], Remote]) -> None:
        self._remote = remote

    async def find(self, url: str, public_only: bool, kid: str) -> KeyAnswer:
        """Looks a key up."""
        return await self._remote().call(_FIND_KEY, url, public_only, kid)  # type: ignore[no-any-return]
