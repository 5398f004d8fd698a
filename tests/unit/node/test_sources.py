"""Which broker is asked for which channel."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from centripetal.interfaces import BrokerError, HistoryFilter
from centripetal.model import StreamPosition
from centripetal.node.namespaces import Namespaces, retention_of
from centripetal.node.settings import ChannelSettings, MapOptions, NamespaceOptions
from centripetal.node.sources import Sources

NAMESPACES = Namespaces(
    ChannelSettings(
        namespaces=(
            NamespaceOptions(name="map", subscription_type="map", map=MapOptions(mode="ephemeral", key_ttl=1.0)),
            NamespaceOptions(name="room"),
        )
    )
)


class Noting:
    def __init__(self, calls: list[tuple[str, ...]], name: str, fails: bool = False) -> None:
        self.calls, self.name, self.fails = calls, name, fails

    def __getattr__(self, method: str) -> Any:
        async def call(channel: str, *arguments: object) -> Any:
            self.calls.append((self.name, method, channel))
            if self.fails:
                raise BrokerError("away")
            return [], StreamPosition(1, self.name)

        return call


def sources(calls: list[tuple[str, ...]], fails: bool = False) -> Sources:
    broker: Any = Noting(calls, "broker")
    map_broker: Any = Noting(calls, "maps", fails)
    return Sources(broker, map_broker, NAMESPACES)


@pytest.mark.parametrize(
    ("channel", "names"), [("map:x", ["broker", "maps"]), ("room:x", ["broker"]), ("nowhere:x", ["broker"])]
)
def test_maps_have_a_source_besides(channel: str, names: list[str]) -> None:
    calls: list[tuple[str, ...]] = []

    async def scene() -> None:
        each = sources(calls)
        await each.subscribe(channel)
        assert calls == [(name, "subscribe", channel) for name in names]
        calls.clear()
        await each.unsubscribe(channel)
        assert sorted(calls) == [(name, "unsubscribe", channel) for name in names]
        _, top = await each.history(channel, HistoryFilter())
        assert top.epoch == names[-1]

    asyncio.run(scene())


def test_half_a_subscription_is_taken_back() -> None:
    calls: list[tuple[str, ...]] = []

    async def scene() -> None:
        with pytest.raises(BrokerError):
            await sources(calls, fails=True).subscribe("map:x")

    asyncio.run(scene())
    assert [call[:2] for call in calls] == [("broker", "subscribe"), ("maps", "subscribe"), ("broker", "unsubscribe")]


def test_retention_has_its_defaults() -> None:
    ephemeral = retention_of(MapOptions(mode="ephemeral", key_ttl=5.0))
    assert (ephemeral.key_ttl_seconds, ephemeral.stream_size, ephemeral.meta_ttl_seconds) == (5.0, 0, 0.0)
    recoverable = retention_of(MapOptions(mode="recoverable", key_ttl=5.0))
    assert (recoverable.stream_size, recoverable.stream_ttl_seconds, recoverable.meta_ttl_seconds) == (100, 60.0, 600.0)
    assert retention_of(MapOptions(mode="recoverable", key_ttl=9000.0)).meta_ttl_seconds == 9000.0
    persistent = retention_of(MapOptions(mode="persistent", stream_size=7, stream_ttl=3.0))
    assert (persistent.stream_size, persistent.stream_ttl_seconds, persistent.meta_ttl_seconds) == (7, 3.0, 0.0)
