"""Subscribing is atomic against live delivery: nothing lost, doubled or out of order, whatever interleaves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from centripetal.engines.memory import MemoryBroker
from centripetal.fanout.fossil import apply_delta
from centripetal.interfaces import PublishOptions
from centripetal.testing import ManualClock

from .pipe import Peer, connected, make_node, namespace
from .slow_broker import SlowBroker

CHANNEL = "room:x"
HISTORY_SIZE = 6
HISTORY_TTL = 30.0
META_TTL = 300.0


class View:
    """A peer, and what it must make of what it receives."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.subscribed = False
        self.asking = False
        self.offset = 0
        self.epoch = ""
        self.wanted: tuple[int, str] | None = None
        self.delta = False
        self.data: bytes | None = None

    def take(self, published: dict[tuple[str, int], Any]) -> None:
        """Reads what came and checks every step of it."""
        for message in self.peer.received():
            if "subscribe" in message:
                self.asking = False
                self._begin(message["subscribe"], published)
            elif "error" in message:
                self.asking = False
            elif "push" in message and "pub" in message["push"]:
                self._advance(message["push"]["pub"], published)
            elif "push" in message and "unsubscribe" in message["push"]:
                assert message["push"]["unsubscribe"]["code"] == 2500
                self.subscribed = False
            elif "unsubscribe" in message:
                self.subscribed = False

    def _begin(self, result: dict[str, Any], published: dict[tuple[str, int], Any]) -> None:
        assert not self.subscribed
        self.subscribed = True
        recovered = result.get("recovered", False)
        self.data = None
        self.epoch = result["epoch"]
        self.offset = result.get("offset", 0)
        if recovered:
            assert self.wanted is not None
            assert self.offset == self.wanted[0]
            assert self.wanted[1] in ("", self.epoch)
        else:
            assert "publications" not in result
        for publication in result.get("publications", ()):
            self._advance(publication, published)

    def _advance(self, publication: dict[str, Any], published: dict[tuple[str, int], Any]) -> None:
        assert self.subscribed, "a publication without a subscription"
        assert publication["offset"] == self.offset + 1, f"after {self.offset} came {publication['offset']}"
        self.offset = publication["offset"]
        data = publication["data"]
        if self.delta:
            assert isinstance(data, str)
            self.data = data.encode() if not publication.get("delta") else self._patched(data.encode())
            data = json.loads(self.data)
        assert published[(self.epoch, self.offset)] == data

    def _patched(self, patch: bytes) -> bytes:
        assert self.data is not None, "a patch to one who has nothing to apply it to"
        return apply_delta(self.data, patch)


class AtomicSubscribe(RuleBasedStateMachine):
    """Publications, subscriptions, lost and late messages, expiring history, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.views: list[View] = []
        self.published: dict[tuple[str, int], Any] = {}
        self.number = 0
        self.dropped = False
        self.top = ("", 0)

    @initialize()
    def start(self) -> None:
        async def build() -> None:
            self.clock = ManualClock()
            self.broker = SlowBroker(MemoryBroker(self.clock, history_meta_ttl_seconds=META_TTL))
            room = namespace("room", history_size=HISTORY_SIZE, history_ttl=HISTORY_TTL, force_recovery=True)
            self.node = make_node(room, clock=self.clock, broker=self.broker)

        self.loop.run_until_complete(build())
        for _ in range(2):
            self.arrive()

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        for view in self.views:
            view.take(self.published)

    def in_loop(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.loop.run_until_complete(call())
        self.settle()

    @precondition(lambda self: len(self.views) < 4)
    @rule()
    def arrive(self) -> None:
        self.in_loop(lambda: self.views.append(View(connected(self.node))))

    @rule(count=st.integers(1, 3))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self.publish_one()

    def publish_one(self) -> None:
        self.number += 1
        data = {"n": self.number, "text": "so long that a patch is shorter than the whole of it"}
        options = PublishOptions(
            history_size=HISTORY_SIZE,
            history_ttl_seconds=HISTORY_TTL,
            history_meta_ttl_seconds=META_TTL,
            use_delta=True,
        )
        publishing = self.broker.publish(CHANNEL, json.dumps(data).encode(), options)
        position = self.loop.run_until_complete(publishing).position
        self.top = (position.epoch, position.offset)
        self.published[self.top] = data
        self.settle()

    @rule(who=st.integers(0, 3), recover=st.booleans(), known_epoch=st.booleans(), delta=st.booleans())
    def subscribe(self, who: int, recover: bool, known_epoch: bool, delta: bool) -> None:
        view = self.views[who % len(self.views)]
        if view.subscribed or view.asking:
            return
        request: dict[str, Any] = {"channel": CHANNEL}
        view.wanted = None
        if recover:
            view.wanted = (view.offset, view.epoch if known_epoch else "")
            request |= {"recover": True, "offset": view.wanted[0], "epoch": view.wanted[1]}
        view.delta = delta
        if delta:
            request["delta"] = "fossil"
        view.asking = True
        self.in_loop(lambda: view.peer.send({"subscribe": request}))

    @rule(who=st.integers(0, 3))
    def unsubscribe(self, who: int) -> None:
        view = self.views[who % len(self.views)]
        if view.subscribed and not view.asking:
            self.in_loop(lambda: view.peer.send({"unsubscribe": {"channel": CHANNEL}}))

    @rule(who=st.integers(0, 3))
    def reconnect(self, who: int) -> None:
        number = who % len(self.views)
        old = self.views[number]

        def replace() -> None:
            old.peer.client.transport_closed()
            fresh = View(connected(self.node))
            fresh.offset, fresh.epoch = old.offset, old.epoch
            self.views[number] = fresh

        self.in_loop(replace)

    @precondition(lambda self: self.broker.gates)
    @rule(number=st.integers(0, 7))
    def go_on(self, number: int) -> None:
        self.in_loop(lambda: self.broker.open_gate(number))

    @precondition(lambda self: self.broker.arrivals)
    @rule(drop=st.sampled_from([False, False, False, True]))
    def deliver(self, drop: bool) -> None:
        self.dropped = self.dropped or drop
        self.in_loop(lambda: self.broker.deliver_next(drop=drop))

    @rule(seconds=st.sampled_from([1.0, HISTORY_TTL + 1, META_TTL + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    @rule()
    def remove_history(self) -> None:
        self.loop.run_until_complete(self.broker.remove_history(CHANNEL))

    @invariant()
    def nobody_was_thrown_out(self) -> None:
        for view in self.views:
            closed = view.peer.pipe.closed
            assert closed is None or (closed.code == 3010 and self.dropped), closed

    def teardown(self) -> None:
        if hasattr(self, "node"):
            self.come_to_rest()
        self.loop.close()

    def come_to_rest(self) -> None:
        """With one more publication, and everything delivered, each subscriber stands at the stream's top."""
        self.publish_one()
        for _ in range(500):
            if self.broker.gates:
                self.in_loop(lambda: self.broker.open_gate(0))
            elif self.broker.arrivals:
                self.in_loop(self.broker.deliver_next)
            else:
                break
        assert not self.broker.gates and not self.broker.arrivals
        epoch, offset = self.top
        for view in self.views:
            if view.peer.pipe.closed is None:
                assert not view.asking
                if view.subscribed:
                    assert (view.epoch, view.offset) == (epoch, offset)


TestAtomicSubscribe = AtomicSubscribe.TestCase
TestAtomicSubscribe.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
