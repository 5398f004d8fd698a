"""A node that keeps streams in lists and notes what it is asked, and calls of the API on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import msgspec

from centripetal.api import HttpApi, HttpApiSettings
from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import PresenceStats, PublishResult
from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.node.counters import Counters
from centripetal.node.maps import Maps
from centripetal.node.namespaces import Namespaces
from centripetal.node.settings import ChannelOptions, ChannelSettings, MapOptions, NamespaceOptions, SharedPollOptions
from centripetal.testing import ManualClock, RecordedEvents

CHANNELS = ChannelSettings(
    without_namespace=ChannelOptions(),
    namespaces=(
        NamespaceOptions(name="hist", history_size=10, history_ttl=60.0, delta_publish=True, history_meta_ttl=7.0),
        NamespaceOptions(name="room", presence=True),
        NamespaceOptions(name="json", publication_data_format="json"),
        NamespaceOptions(name="binary", publication_data_format="binary"),
        NamespaceOptions(
            name="poll",
            subscription_type="shared_poll",
            shared_poll=SharedPollOptions(mode="versioned", publish_enabled=True),
        ),
        NamespaceOptions(name="quiet", subscription_type="shared_poll"),
        NamespaceOptions(name="table", subscription_type="map", map=MapOptions(mode="persistent", stream_size=3)),
    ),
)


class FakePolls:
    """Notes what is published to shared polls."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    async def publish(self, *call: Any) -> None:
        self._node._note("shared_poll_publish", *call)


class FakeNode:
    """Has the methods of ApiNode, and real maps. `failure` is raised by every operation, `turns` are waited in every publish."""

    def __init__(self) -> None:
        self.namespaces = Namespaces(CHANNELS)
        self.counters = Counters()
        broker = MemoryMapBroker(ManualClock())
        broker.bind(RecordedEvents())
        self.maps = Maps(broker, self.namespaces, self.counters)
        self.polls = FakePolls(self)
        self.calls: list[tuple[Any, ...]] = []
        self.streams: dict[str, list[Publication]] = {}
        self.present: dict[str, ClientInfo] = {}
        self.failure: Exception | None = None
        self.turns = 0
        self.waiting = self.most_waiting = 0

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    def history_meta_ttl_seconds(self, options: ChannelOptions) -> float:
        return options.history_meta_ttl or self.namespaces.settings.history_meta_ttl

    def begin_publish(
        self, channel: str, data: bytes, options: Any
    ) -> PublishResult | Coroutine[Any, Any, PublishResult]:
        """At once, or as a coroutine if there are turns to wait."""
        return self._publish_later(channel, data, options) if self.turns else self._publish(channel, data, options)

    async def _publish_later(self, channel: str, data: bytes, options: Any) -> PublishResult:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.waiting -= 1
        return self._publish(channel, data, options)

    def _publish(self, channel: str, data: bytes, options: Any) -> PublishResult:
        self._note("publish", channel, data, options)
        if not options.history_size:
            return PublishResult(StreamPosition())
        stream = self.streams.setdefault(channel, [])
        stream.append(Publication(data, len(stream) + 1, tags=options.tags))
        return PublishResult(StreamPosition(len(stream), "epoch"))

    async def history(
        self, channel: str, wanted: Any, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        self._note("history", channel, wanted, history_meta_ttl_seconds)
        stream = self.streams.get(channel, [])
        return (stream if wanted.limit else []), StreamPosition(len(stream), "epoch")

    async def remove_history(self, channel: str) -> None:
        self._note("remove_history", channel)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        self._note("presence", channel)
        return self.present

    async def presence_stats(self, channel: str) -> PresenceStats:
        self._note("presence_stats", channel)
        return PresenceStats(2, 1)

    async def subscribe_user(self, user: str, channel: str, **options: Any) -> None:
        self._note("subscribe_user", user, channel, options)

    async def unsubscribe_user(self, user: str, channel: str, **options: Any) -> None:
        self._note("unsubscribe_user", user, channel, options)

    async def disconnect_user(self, user: str, disconnect: Any, **options: Any) -> None:
        self._note("disconnect_user", user, disconnect, options)

    async def refresh_user(self, user: str, **options: Any) -> None:
        self._note("refresh_user", user, options)

    async def channels(self, pattern: str) -> dict[str, int]:
        self._note("channels", pattern)
        return {"news": 2, 'quo"ted': 0}

    async def info(self) -> list[dict[str, object]]:
        self._note("info")
        return [{"uid": "u", "num_clients": 0}]


class Stage:
    """An API with the key `key` over a fake node."""

    def __init__(self, **settings: Any) -> None:
        self.node = FakeNode()
        self.api = HttpApi(self.node, msgspec.convert({"key": "key", **settings}, HttpApiSettings))

    def send(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        query: str = "",
    ) -> HttpResponse:
        """Sends a request as the front door does; the key is given unless headers are."""
        request = HttpRequest(method, path, query, {"x-api-key": "key"} if headers is None else headers)
        response = self.api.begin(request)
        return asyncio.run(answered(self.api.respond(request, body))) if response is None else response

    def call(self, method: str, parameters: Any, headers: dict[str, str] | None = None) -> Any:
        """Calls a method and returns the decoded answer, which has to come with status 200."""
        response = self.send(f"/api/{method}", json.dumps(parameters).encode(), headers)
        assert response.status == 200
        assert ("Content-Type", "application/json") in response.headers
        return json.loads(response.body)


def error(code: int) -> dict[str, Any]:
    """Returns the answer with an error of the table."""
    messages = {
        100: "internal server error", 102: "unknown channel", 104: "not found", 107: "bad request",
        108: "not available", 112: "unrecoverable position",
    }  # fmt: skip
    return {"error": {"code": code, "message": messages[code]}}


async def answered(response: HttpResponse | Coroutine[Any, Any, HttpResponse]) -> HttpResponse:
    """Waits for a response if it is not there yet."""
    return response if isinstance(response, HttpResponse) else await response
