"""Subscriptions to maps, beyond what the recorded transcripts ask."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from centripetal.connection import Client
from centripetal.connection.map_subscribe import page_size
from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import MapPublishOptions, MapRemoveOptions
from centripetal.node.node import Node
from centripetal.node.settings import MapOptions
from centripetal.protocol.commands import SubscribeRequest
from centripetal.testing import ManualClock

from .map_view import LIVE, STATE, STREAM, MapView
from .pipe import Peer, connected, make_node, namespace
from .slow_map_broker import SlowMapBroker

PAGES = {"min_page_size": 1, "default_page_size": 2, "max_page_size": 4}
EPHEMERAL = MapOptions(mode="ephemeral", key_ttl=60.0, **PAGES)
RECOVERABLE = MapOptions(mode="recoverable", key_ttl=60.0, stream_size=3, stream_ttl=20.0, **PAGES)
TEXT = "long enough for a patch to be shorter than the whole"


class Place:
    """A node with two maps, `eph:x` and `rec:x`."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.broker = MemoryMapBroker(self.clock)
        places = [
            namespace("eph", subscription_type="map", map=EPHEMERAL),
            namespace("rec", subscription_type="map", map=RECOVERABLE),
        ]
        self.node: Node = make_node(*places, clock=self.clock, map_broker=self.broker, **options)

    async def write(self, channel: str, *keys: str, tags: dict[str, str] | None = None, delta: bool = False) -> None:
        for number, key in enumerate(keys):
            data = json.dumps({"n": number, "text": TEXT}).encode()
            retention = self.node.maps.retention_of(channel)
            options = MapPublishOptions(retention=retention, tags=tags, use_delta=delta)
            await self.node.maps.publish(channel, key, data, options)

    async def remove(self, channel: str, key: str) -> None:
        await self.node.maps.remove(channel, key, MapRemoveOptions(retention=self.node.maps.retention_of(channel)))


def subscribe(peer: Peer, channel: str, phase: int = STATE, **more: Any) -> dict[str, Any]:
    reply = peer.ask({"subscribe": {"channel": channel, "type": 1, "phase": phase, **more}})
    return reply.get("subscribe") or {"error": reply["error"]["code"]}  # type: ignore[no-any-return]


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def count_clients() -> int:
    return sum(isinstance(thing, Client) for thing in gc.get_objects())


def in_loop(scene: Any) -> None:
    asyncio.run(scene())


def test_a_map_whose_stream_is_too_short_can_be_read_while_it_changes() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", "a", "b", "c")
        view = MapView(connected(place.node), "rec:x", limit=2)
        view.step()
        view.take()
        await place.write("rec:x", *"adbeca")  # more than the stream keeps
        await place.remove("rec:x", "d")
        view.step()
        view.take()
        assert view.live and not view.errors
        assert sorted(view.state) == ["a", "b", "c", "e"]
        assert view.state["a"]["n"] == 5 and view.position is not None and view.position[0] == 10
        await place.write("rec:x", "f")
        view.take()
        assert "f" in view.state

    in_loop(scene)


def test_the_log_helps_in_the_stream_phase_too() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", "a")
        view = MapView(connected(place.node), "rec:x", limit=1)
        view.step()
        view.take()
        assert view.live
        view.leave()
        view.take()
        await place.write("rec:x", "b")
        view.position = None
        view.step()
        view.take()
        await place.write("rec:x", "C", "D", "E")  # keys before those of the page that is next
        view.step()
        view.take()
        assert not view.live and view.phase == STREAM
        await place.write("rec:x", "F", "G")  # now the stream begins behind the position of the first page
        view.step()
        view.take()
        assert view.live and sorted(view.state) == list("CDEFGab") and not view.errors

    in_loop(scene)


def test_a_map_without_stream_loses_no_change_between_its_pages() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("eph:x", *"abcdef")
        peer = connected(place.node)
        page = subscribe(peer, "eph:x", limit=2)
        await place.write("eph:x", "x", "a")
        await place.remove("eph:x", "b")
        await place.write("eph:x", "x", "x", "x", "e")  # e is on a later page
        page = subscribe(peer, "eph:x", limit=2, cursor=page["cursor"])
        page = subscribe(peer, "eph:x", limit=2, cursor=page["cursor"])
        assert [entry["key"] for entry in page["state"]] == ["e", "f"]
        await place.write("eph:x", "x", "x", "x", "x", "e")  # and changes again behind it
        page = subscribe(peer, "eph:x", limit=2, cursor=page["cursor"])
        assert page.get("phase", LIVE) == LIVE
        assert [(change["key"], change.get("data", {}).get("n")) for change in page["publications"]] == [
            ("a", 1), ("b", None), ("e", 4),
        ]  # fmt: skip

    in_loop(scene)


def test_a_recovery_without_the_whole_way_to_the_top_is_none() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", "a")
        result = subscribe(connected(place.node), "rec:x")
        await place.write("rec:x", "b")
        place.clock.advance(25.0)  # the stream is gone, the position is not
        peer = connected(place.node)
        known = {"recover": True, "offset": result["offset"], "epoch": result["epoch"]}
        for phase in (LIVE, STREAM):
            assert subscribe(peer, "rec:x", phase, **known) == {"error": 112}
        assert subscribe(peer, "rec:x", LIVE, **(known | {"offset": 9})) == {"error": 112}
        fresh = subscribe(peer, "rec:x")
        assert [entry["key"] for entry in fresh["state"]] == ["a", "b"]
        known["offset"] = fresh["offset"]
        assert subscribe(connected(place.node), "rec:x", LIVE, **known)["recovered"]

    in_loop(scene)


def test_a_map_without_stream_cannot_be_recovered() -> None:
    async def scene() -> None:
        place = Place()
        result = subscribe(connected(place.node), "eph:x")
        peer = connected(place.node)
        assert subscribe(peer, "eph:x", LIVE, recover=True, epoch=result["epoch"]) == {"error": 112}
        live = subscribe(peer, "eph:x", LIVE)  # the changes only
        assert live["epoch"] == result["epoch"] and "state" not in live

    in_loop(scene)


@pytest.mark.parametrize("channel", ["eph:x", "rec:x"])
def test_clear_has_subscribers_read_the_map_anew(channel: str) -> None:
    async def scene() -> None:
        place = Place()
        await place.write(channel, "a")
        view, paging = MapView(connected(place.node), channel), connected(place.node)
        view.step()
        await place.write(channel, "b", "c")
        page = subscribe(paging, channel)
        await place.node.maps.clear(channel)
        view.take()
        assert not view.live
        later = {"cursor": page["cursor"], "offset": page.get("offset", 0), "epoch": page["epoch"]}
        assert subscribe(paging, channel, **later) == {"error": 112}
        await place.write(channel, "z")
        for _ in range(3):
            view.step()
            view.take()
        assert view.live and list(view.state) == ["z"]
        assert subscribe(paging, channel)["epoch"] != page["epoch"]

    in_loop(scene)


def test_who_is_too_slow_is_disconnected() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", *"abc")
        waits, asks = connected(place.node), connected(place.node)
        for peer in (waits, asks):
            page = subscribe(peer, "rec:x", limit=1)
        place.clock.advance(5.1)
        waits.client.on_due(place.clock.monotonic())
        assert waits.pipe.closed is not None and waits.pipe.closed.code == 3008
        asks.send({"subscribe": {"channel": "rec:x", "type": 1, "phase": 2, "cursor": page["cursor"]}})
        assert asks.pipe.closed is not None and asks.pipe.closed.code == 3008
        assert "rec:x" not in place.node.hub.channels

    in_loop(scene)


def test_who_is_live_in_time_stays() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", *"abc")
        view = MapView(connected(place.node), "rec:x", limit=2)
        view.step()
        view.take()
        place.clock.advance(3.0)
        view.step()
        view.take()
        assert view.live
        place.clock.advance(3.0)
        view.peer.client.on_due(place.clock.monotonic())
        assert view.peer.pipe.closed is None and not view.peer.client.due.paging

    in_loop(scene)


def test_unsubscribing_between_pages_is_answered() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("eph:x", *"abc")
        peer = connected(place.node)
        page = subscribe(peer, "eph:x", limit=1)
        assert "eph:x" in place.node.hub.channels
        assert peer.ask({"unsubscribe": {"channel": "eph:x"}}).get("unsubscribe") == {}
        assert "eph:x" not in place.node.hub.channels and not peer.client.subscriptions
        assert subscribe(peer, "eph:x", limit=1, cursor=page["cursor"]) == {"error": 103}
        assert subscribe(peer, "eph:x", limit=4)["state"]
        await place.node.unsubscribe_user("", "eph:x")
        assert "eph:x" not in place.node.hub.channels

    in_loop(scene)


def test_a_connection_that_ends_between_pages_leaves_nothing() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("eph:x", *"abc")
        peer = connected(place.node)
        subscribe(peer, "eph:x", limit=1)
        gc.collect()
        before = count_clients()
        gc.disable()
        try:
            peer.client.transport_closed()
            del peer
            assert count_clients() == before - 1
        finally:
            gc.enable()
        assert not place.node.hub.channels

    in_loop(scene)


def test_a_subscription_on_its_way_counts() -> None:
    async def scene() -> None:
        place = Place(channel_limit=1)
        await place.write("eph:x", *"abc")
        peer = connected(place.node)
        subscribe(peer, "eph:x", limit=1)
        assert subscribe(peer, "eph:x", limit=1) == {"error": 105}
        assert subscribe(peer, "eph:y") == {"error": 106}

    in_loop(scene)


def test_one_page_at_a_time() -> None:
    async def scene() -> None:
        clock = ManualClock()
        broker = SlowMapBroker(MemoryMapBroker(clock))
        place = namespace("eph", subscription_type="map", map=EPHEMERAL)
        node = make_node(place, clock=clock, map_broker=broker, concurrency=4)
        for key in "abc":
            options = MapPublishOptions(retention=node.maps.retention_of("eph:x"))
            await broker.publish("eph:x", key, b"1", options)
        peer = connected(node)
        request = {"channel": "eph:x", "type": 1, "phase": 2, "limit": 1}
        peer.send({"subscribe": request})
        for _ in range(3):
            await turns()
            broker.open_gate(0)
        await turns()
        (reply,) = peer.received()
        again = {"subscribe": {**request, "cursor": reply["subscribe"]["cursor"]}}
        peer.send(again)
        peer.send(again)
        await turns()
        (refused,) = peer.received()
        assert refused["error"] == {"code": 113, "message": "concurrent pagination", "temporary": True}
        for _ in range(2):
            broker.open_gate(0)
            await turns()
        (reply,) = peer.received()
        assert [entry["key"] for entry in reply["subscribe"]["state"]] == ["b"]

    in_loop(scene)


def test_patches_build_on_what_this_subscription_delivered() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("rec:x", "a", "b")
        first = subscribe(connected(place.node), "rec:x", delta="fossil")
        peer = connected(place.node)
        known = {"recover": True, "offset": first["offset"], "epoch": first["epoch"], "delta": "fossil"}
        assert subscribe(peer, "rec:x", LIVE, **known)["delta"]
        await place.write("rec:x", "a", "a", "b", delta=True)
        deltas = [message["push"]["pub"].get("delta", False) for message in peer.received()]
        assert deltas == [False, True, False]

    in_loop(scene)


def test_a_value_that_the_filter_kept_away_is_no_base() -> None:
    async def scene() -> None:
        place = Place()
        wanted = {"key": "t", "cmp": "eq", "val": "1"}
        peer = connected(place.node)
        subscribe(peer, "rec:x", delta="fossil", tf=wanted)
        for tag in ("1", "1", "2", "1", "1"):
            await place.write("rec:x", "k", tags={"t": tag}, delta=True)
        pushes = [message["push"]["pub"] for message in peer.received()]
        assert [(push["offset"], push.get("delta", False)) for push in pushes] == [
            (1, False), (2, True), (4, False), (5, True),
        ]  # fmt: skip

    in_loop(scene)


@pytest.mark.parametrize(
    ("limit", "sizes", "expected"),
    [
        (0, (0, 0, 0), 100), (-3, (0, 0, 0), 100), (1, (0, 0, 0), 100), (5000, (0, 0, 0), 1000), (700, (0, 0, 0), 700),
        (0, (10, 20, 30), 20), (5, (10, 20, 30), 10), (31, (10, 20, 30), 30), (0, (0, 0, 50), 50),
    ],
)  # fmt: skip
def test_page_sizes(limit: int, sizes: tuple[int, int, int], expected: int) -> None:
    options = MapOptions(min_page_size=sizes[0], default_page_size=sizes[1], max_page_size=sizes[2])
    assert page_size(SubscribeRequest(limit=limit), options) == expected


def test_unknown_phases_and_deltas() -> None:
    async def scene() -> None:
        place = Place()
        peer = connected(place.node)
        assert subscribe(peer, "eph:x", 7) == {"error": 107}
        assert not peer.client.subscriptions
        peer.send({"subscribe": {"channel": "eph:x", "type": 1, "phase": 2, "delta": "other"}})
        assert peer.pipe.closed is not None and peer.pipe.closed.code == 3501

    in_loop(scene)


def test_without_offsets_patches_build_on_what_was_delivered() -> None:
    async def scene() -> None:
        place = Place()
        await place.write("eph:x", "a", "b")
        first, second = connected(place.node), connected(place.node)
        subscribe(first, "eph:x", delta="fossil")
        await place.write("eph:x", "a", "a", delta=True)
        subscribe(second, "eph:x", delta="fossil")  # whoever comes has got nothing yet
        await place.write("eph:x", "a", "a", "b", "b", delta=True)

        def deltas(peer: Peer) -> list[tuple[str, bool]]:
            pushes = [message["push"]["pub"] for message in peer.received() if "push" in message]
            return [(push["key"], push.get("delta", False)) for push in pushes]

        assert deltas(first) == [("a", False), ("a", True), ("a", False), ("a", True), ("b", False), ("b", True)]
        assert deltas(second) == [("a", False), ("a", True), ("b", False), ("b", True)]
        await place.remove("eph:x", "a")
        await place.write("eph:x", "a", delta=True)
        assert deltas(second) == [("a", False), ("a", False)]

    in_loop(scene)
