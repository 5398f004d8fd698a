"""Whatever interleaves — pages, writes, removals, expiry, lost messages, reconnects — a quiet view equals the state."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import MapPublishOptions, MapRemoveOptions, StateFilter
from centripetal.node.settings import MapOptions
from centripetal.testing import ManualClock

from .map_view import MapView
from .pipe import connected, make_node, namespace
from .slow_map_broker import SlowMapBroker

CHANNEL = "map:x"
KEY_TTL = 30.0
STREAM_TTL = 40.0
META_TTL = 300.0
KEYS = "abcdefgh"
FILTER = {"key": "side", "cmp": "eq", "val": "left"}
PAGES = {"min_page_size": 1, "default_page_size": 2, "max_page_size": 4}
TEXT = "so long that a patch of it is shorter than the whole value"

MODES = {
    "ephemeral": MapOptions(mode="ephemeral", key_ttl=KEY_TTL, **PAGES),
    "recoverable": MapOptions(
        mode="recoverable", key_ttl=KEY_TTL, stream_size=6, stream_ttl=STREAM_TTL, meta_ttl=META_TTL, **PAGES
    ),
    "persistent": MapOptions(mode="persistent", stream_size=3, stream_ttl=STREAM_TTL, **PAGES),
}


def side_of(key: str) -> str:
    return "left" if KEYS.index(key) % 2 else "right"


class MapMachine(RuleBasedStateMachine):
    """Clients of one map."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.views: list[MapView] = []
        self.number = 0
        self.dropped = False

    @initialize(mode=st.sampled_from(sorted(MODES)), keys=st.integers(0, len(KEYS)))
    def start(self, mode: str, keys: int) -> None:
        self.mode = mode

        async def build() -> None:
            self.clock = ManualClock()
            self.memory = MemoryMapBroker(self.clock)
            self.broker = SlowMapBroker(self.memory)
            place = namespace("map", subscription_type="map", map=MODES[mode])
            self.node = make_node(place, clock=self.clock, map_broker=self.broker, ping_interval=-1.0)
            self.retention = self.node.maps.retention_of(CHANNEL)

        self.loop.run_until_complete(build())
        for key in KEYS[:keys]:
            self.write(key, False)

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        for view in self.views:
            view.take()

    def in_loop(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.loop.run_until_complete(call())
        self.settle()

    def make_view(self, delta: bool, filtered: bool) -> MapView:
        return MapView(
            connected(self.node), CHANNEL, delta=delta, tags_filter=FILTER if filtered else None, limit=self.number % 3
        )

    @precondition(lambda self: len(self.views) < 4)
    @rule(delta=st.booleans(), filtered=st.booleans())
    def arrive(self, delta: bool, filtered: bool) -> None:
        self.in_loop(lambda: self.views.append(self.make_view(delta, filtered)))

    @rule(key=st.sampled_from(KEYS), delta=st.booleans())
    def write(self, key: str, delta: bool) -> None:
        self.number += 1
        data = json.dumps({"n": self.number, "text": TEXT}).encode()
        options = MapPublishOptions(retention=self.retention, tags={"side": side_of(key)}, use_delta=delta)
        self.loop.run_until_complete(self.broker.publish(CHANNEL, key, data, options))
        self.settle()

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        removal = MapRemoveOptions(retention=self.retention)
        self.loop.run_until_complete(self.broker.remove(CHANNEL, key, removal))
        self.settle()

    @rule()
    def clear(self) -> None:
        self.loop.run_until_complete(self.broker.clear(CHANNEL))
        self.settle()

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3))
    def step(self, who: int) -> None:
        self.in_loop(self.views[who % len(self.views)].step)

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3))
    def leave(self, who: int) -> None:
        view = self.views[who % len(self.views)]
        if not view.asking:
            self.in_loop(view.leave)

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3))
    def reconnect(self, who: int) -> None:
        number = who % len(self.views)
        old = self.views[number]

        def replace() -> None:
            old.peer.client.transport_closed()
            fresh = self.make_view(old.delta, old.tags_filter is not None)
            fresh.inherit(old)
            self.views[number] = fresh

        self.in_loop(replace)

    @precondition(lambda self: self.broker.gates)
    @rule(number=st.integers(0, 7))
    def go_on(self, number: int) -> None:
        self.in_loop(lambda: self.broker.open_gate(number))

    @precondition(lambda self: self.broker.arrivals)
    @rule(drop=st.sampled_from([False, False, False, True]))
    def deliver(self, drop: bool) -> None:
        drop = drop and self.mode != "ephemeral" and len(self.broker.arrivals[0]) > 1  # nothing would tell
        self.dropped = self.dropped or drop
        self.in_loop(lambda: self.broker.deliver_next(drop=drop))

    @rule(seconds=st.sampled_from([1.0, KEY_TTL + 2, STREAM_TTL + 2, META_TTL + 2]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.in_loop(lambda: self.memory.sweep(10_000))

    @invariant()
    def nobody_was_thrown_out(self) -> None:
        for number, view in enumerate(self.views):
            closed = view.peer.pipe.closed
            if closed is not None:
                assert closed.code in (3008, 3010), closed
                assert self.dropped or closed.code == 3008 or self.mode != "ephemeral", closed
                self.reconnect(number)
            assert set(view.errors) <= {112}, view.errors

    def teardown(self) -> None:
        if hasattr(self, "node"):
            self.come_to_rest()
        self.loop.close()

    def drain(self) -> None:
        for _ in range(2000):
            if self.broker.gates:
                self.in_loop(lambda: self.broker.open_gate(0))
            elif self.broker.arrivals:
                self.in_loop(self.broker.deliver_next)
            else:
                return
        raise AssertionError("it does not come to rest")

    def come_to_rest(self) -> None:
        """With one more change, everything delivered and every subscription live, each view is the state."""
        self.drain()
        self.write("a", True)
        self.drain()
        for _ in range(60):
            self.nobody_was_thrown_out()
            waiting = [view for view in self.views if not view.live]
            if not waiting:
                break
            for view in waiting:
                self.in_loop(view.step)
            self.drain()
        assert all(view.live for view in self.views), "somebody never becomes live"
        self.write("b", True)
        self.drain()

        async def read() -> Any:
            return await self.memory.read_state(CHANNEL, StateFilter(limit=-1), self.retention)

        page = self.loop.run_until_complete(read())
        self.drain()
        whole = {entry.key: json.loads(entry.data) for entry in page.entries}
        left = {key: value for key, value in whole.items() if side_of(key) == "left"}
        for view in self.views:
            assert view.state == (whole if view.tags_filter is None else left)
            if view.position is not None and view.tags_filter is None:
                assert view.position == (page.position.offset, page.position.epoch)


TestMapMachine = MapMachine.TestCase
TestMapMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
