"""Whatever interleaves — tracking, answers late or lost, removals, epochs, reconnects — quiet views equal the backend."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .poll_stage import CHANNEL, PolledBackend, PollStage, PollView

KEYS = "abc"
TEXT = "so long that a patch of it is shorter than the whole value, which is said twice " * 2
MODES: dict[str, tuple[dict[str, bool], dict[str, Any]]] = {
    "versioned": ({}, {}),
    "spare": ({"spare": True}, {"publish_enabled": True}),
    "kept": ({"spare": True}, {"keep_latest_data": True, "publish_enabled": True}),
    "versionless": ({"versioned": False}, {}),
    "versionless, kept": ({"versioned": False}, {"keep_latest_data": True}),
}


class PollMachine(RuleBasedStateMachine):
    """Clients of one channel, and the backend behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.views: list[PollView] = []
        self.number = 0

    @initialize(mode=st.sampled_from(sorted(MODES)), batch=st.integers(1, 3))
    def start(self, mode: str, batch: int) -> None:
        kind, options = MODES[mode]
        self.publishes = "publish_enabled" in options

        async def build() -> None:
            self.backend = PolledBackend(**kind)
            self.stage = PollStage(self.backend, refresh_batch_size=batch, channel_shutdown_delay=3.0, **options)

        self.loop.run_until_complete(build())
        self.backend.gates = []
        for key in KEYS:
            self.change(key, "")
        for delta in (True, False):
            self.arrive(delta)
            self.track(len(self.views) - 1, set(KEYS))

    def in_loop(self, function: Any) -> None:
        async def call() -> None:
            outcome = function()
            if outcome is not None:
                await outcome
            await self.stage.settle()

        self.loop.run_until_complete(call())
        for view in self.views:
            view.take()

    @precondition(lambda self: len(self.views) < 4)
    @rule(delta=st.booleans())
    def arrive(self, delta: bool) -> None:
        self.in_loop(lambda: self.views.append(self.stage.subscriber(delta=delta)))

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3), keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def track(self, who: int, keys: set[str]) -> None:
        view = self.views[who % len(self.views)]
        if view.live:
            self.in_loop(lambda: view.track(*sorted(keys)))

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3), keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def untrack(self, who: int, keys: set[str]) -> None:
        view = self.views[who % len(self.views)]
        if view.live:
            self.in_loop(lambda: view.untrack(*sorted(keys)))

    def come_back(self, view: PollView) -> None:
        view.subscribe()
        if view.live and view.versions:
            view.track(*view.versions)

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3))
    def resubscribe(self, who: int) -> None:
        view = self.views[who % len(self.views)]
        if not view.live:
            self.in_loop(lambda: self.come_back(view))

    @precondition(lambda self: self.views)
    @rule(who=st.integers(0, 3), back=st.booleans())
    def drop(self, who: int, back: bool) -> None:
        view = self.views[who % len(self.views)]

        def lose() -> None:
            view.peer.client.transport_closed()
            view.connect()
            if back:
                self.come_back(view)

        self.in_loop(lose)

    @rule(key=st.sampled_from(KEYS), told=st.sampled_from(["", "right", "wrong"]))
    def change(self, key: str, told: str) -> None:
        self.number += 1
        before = self.backend.state.get(key)
        self.backend.before.pop(key, None)
        if told == "right" and before is not None:
            self.backend.before[key] = before[1]
        elif told == "wrong":
            self.backend.before[key] = {"n": -self.number, "text": TEXT}
        self.backend.set(key, {"n": self.number, "text": TEXT}, self.number)

    @precondition(lambda self: self.publishes)
    @rule(key=st.sampled_from(KEYS))
    def publish(self, key: str) -> None:
        self.change(key, "")
        data = json.dumps({"n": self.number, "text": TEXT}).encode()
        polls, epoch = self.stage.node.polls, self.backend.epoch
        self.in_loop(lambda: polls.publish(CHANNEL, key, data, self.number, epoch))

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        self.backend.state[key] = None
        self.backend.before.pop(key, None)

    @precondition(lambda self: self.backend.versioned)
    @rule()
    def restart(self) -> None:
        """Versions begin anew."""
        self.backend.epoch += "x"
        self.number = 0
        for key, value in list(self.backend.state.items()):
            if value is not None:
                self.change(key, "")

    @precondition(lambda self: self.backend.gates)
    @rule(number=st.integers(0, 7), answer=st.sampled_from([True, True, True, False]))
    def answer(self, number: int, answer: bool) -> None:
        self.in_loop(lambda: self.backend.open_gate(number, answer=answer))

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.1]))
    def wait(self, seconds: float) -> None:
        self.in_loop(lambda: self.stage.wait(seconds))

    @precondition(lambda self: self.views)
    @rule(told=st.sampled_from(["right", "wrong"]))
    def pass_an_interval(self, told: str) -> None:
        """Values change, and the cycle that finds that is answered whole."""
        for key in KEYS:
            self.change(key, told)
        for _ in range(6):
            self.in_loop(lambda: self.stage.wait(3.4))
            while self.backend.gates:
                self.in_loop(self.backend.open_gate)

    @invariant()
    def nothing_is_refused(self) -> None:
        assert self.backend.overlaps == 0
        for view in self.views:
            assert view.errors == [] and view.peer.pipe.closed is None
            assert set(view.losses) <= {2500}

    def teardown(self) -> None:
        if hasattr(self, "stage"):
            self.come_to_rest()
            self.loop.run_until_complete(self.stage.node.stop())
        self.loop.close()

    def come_to_rest(self) -> None:
        """With every call answered and everybody there, each view shows what the backend has of its keys."""
        held, self.backend.gates = self.backend.gates or [], None
        for gate in held:
            if not gate.done():
                gate.set_result(True)
        for _ in range(16):  # more than two cycles, with their calls one by one
            self.in_loop(lambda: self.stage.wait(2.1))
            for view in self.views:
                if not view.live:
                    self.in_loop(lambda view=view: self.come_back(view))
        for view in self.views:
            assert view.live
            for key in view.versions:
                if key in self.backend.state:
                    value = self.backend.state[key]
                    assert value is not None, "a removal was not told"
                    assert view.values[key] == value[1]
                else:
                    assert key not in view.values
        polled = self.stage.node.polls.channels.get(CHANNEL)
        tracked = {key for view in self.views for key in view.versions}
        assert (set(polled.keys) if polled else set()) == tracked
        for view in self.views:
            view.peer.client.transport_closed()
        self.in_loop(lambda: self.stage.wait(3.1))
        assert self.stage.node.polls.channels == {} and self.stage.node.hub.channels == {}


TestPollMachine = PollMachine.TestCase
TestPollMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
