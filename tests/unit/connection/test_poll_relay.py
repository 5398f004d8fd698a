"""Shared polls of several nodes that are one server: the application is asked once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.interfaces import HookError
from centripetal.node.polls.relay import aligned
from centripetal.testing import ManualClock

from .poll_stage import CHANNEL, Line, PolledBackend, PollStage

INTERVAL = 10.0


class House:
    """Three nodes with one backend. Make it with make()."""

    @classmethod
    async def make(cls, backend: PolledBackend | None = None) -> House:
        house = cls()
        house.backend = backend or PolledBackend()
        house.clock = ManualClock()
        house.lines: list[Line] = []
        house.stages = [
            PollStage(house.backend, controller=Line(house.lines), clock=house.clock) for _ in range(3)
        ]
        for stage in house.stages:
            await stage.node.start()
            stage.node.ticker.stop()  # wait() ticks
        await house.settle()
        return house

    backend: PolledBackend
    clock: ManualClock
    stages: list[PollStage]

    async def settle(self) -> None:
        for _ in range(4):
            for stage in self.stages:
                await stage.settle()

    async def wait(self, seconds: float, *, step: float = 0.5) -> None:
        """Lets time pass as it does."""
        for number in range(round(seconds / step)):
            self.clock.advance(step)
            if number % 2:
                for stage in self.stages:
                    for function in stage.node.ticker.every_second:
                        function()
            await self.settle()

    async def view(self, number: int) -> Any:
        """Returns a client of a node that is subscribed."""
        view = self.stages[number].subscriber()
        await self.settle()
        view.take()
        assert view.live
        return view

    def desks(self) -> list[Any]:
        """Returns what the nodes keep of calls."""
        return [desk for stage in self.stages for desk in stage.node.polls._relay._desks.values()]  # type: ignore[union-attr]

    async def stop(self) -> None:
        for stage in self.stages:
            await stage.node.stop()


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


@pytest.mark.parametrize("versioned", [True, False])
def test_once_an_interval_for_all_nodes_whenever_their_cycles_begin(versioned: bool) -> None:
    async def scene() -> None:
        house = await House.make(PolledBackend(versioned=versioned))
        backend = house.backend
        backend.set("a", 1, 5)
        views = []
        for number, pause in enumerate((3.0, 4.0, 1.0)):
            view = await house.view(number)
            view.track("a")
            await house.settle()
            assert [push["data"] for push in view.take()] == [1]
            views.append(view)
            await house.wait(pause)
        assert backend.asked == [{"a": 0}] * 3, "newcomers need the value at once"
        await house.wait(20.0)
        backend.asked.clear()
        for value in range(2, 12):
            backend.set("a", value, value + 4)
            await house.wait(INTERVAL)
            for view in views:
                view.take()
                assert view.values["a"] in (value - 1, value), "no later than alone"
        assert 9 <= len(backend.asked) <= 11
        await house.wait(INTERVAL)
        for view in views:
            view.take()
            assert view.values == {"a": 11}
        for view in views:
            view.untrack("a")
        await house.wait(INTERVAL)
        assert house.desks() == [], "nothing is kept"
        await house.stop()

    play(scene())


def test_nodes_that_ask_at_the_same_time_share_a_call() -> None:
    async def scene() -> None:
        house = await House.make()
        backend = house.backend
        backend.set("a", 1, 5)
        backend.set("b", 2, 6)
        backend.gates = []
        views = [await house.view(number) for number in range(3)]
        for view in views:
            view.track("a", "b")
        await house.settle()
        assert backend.asked == [{"a": 0, "b": 0}]
        late = await house.view(1)
        late.track("b", "c")
        await house.settle()
        assert backend.asked[1:] == [{"c": 0}]
        while backend.gates:
            backend.open_gate()
            await house.settle()
        for view in views:
            assert {push["key"]: push["data"] for push in view.take()} == {"a": 1, "b": 2}
        late.take()
        assert late.values == {"b": 2}
        assert backend.overlaps == 0
        await house.stop()

    play(scene())


def test_a_failure_is_everybodys_and_made_good() -> None:
    async def scene() -> None:
        house = await House.make()
        backend = house.backend
        backend.set("a", 1, 5)
        backend.failure = HookError("broken")
        backend.gates = []
        views = [await house.view(number) for number in range(3)]
        for view in views:
            view.track("a")
        await house.settle()
        backend.open_gate()
        await house.settle()
        assert len(backend.asked) == 1, "nobody asks a backend that fails once more"
        assert [sum(stage.node.counters.poll_errors.values()) for stage in house.stages] == [1, 1, 1]
        backend.failure = backend.gates = None
        await house.wait(INTERVAL + 1)
        for view in views:
            assert [push["data"] for push in view.take()] == [1]
        await house.stop()

    play(scene())


def test_a_new_epoch_reaches_all_nodes_and_an_older_answer_does_not_bring_the_old_one_back() -> None:
    async def scene() -> None:
        house = await House.make()
        backend = house.backend
        backend.epoch = "one"
        backend.set("a", 1, 5)
        views = [await house.view(number) for number in range(3)]
        for view in views:
            view.track("a")
        await house.settle()
        for view in views:
            view.take()
            view.subscribe()
        await house.settle()
        for view in views:
            view.take()
            assert view.epoch == "one"
            view.track("a")
        await house.settle()
        for view in views:
            view.take()
            assert view.values == {"a": 1}
        backend.gates = []
        await house.wait(INTERVAL + 1)  # a call of the old epoch, which is slow
        assert len(backend.gates) == 1
        backend.epoch = "two"
        backend.set("a", 2, 1)
        backend.set("b", 3, 1)
        views[0].track("b")
        await house.settle()
        assert len(backend.gates) == 2
        backend.open_gate(1)
        await house.settle()
        backend.open_gate(0)
        await house.settle()
        backend.gates = None
        for _ in range(30):
            for view in views:
                view.take()
                if not view.live:
                    view.subscribe()
                    await house.settle()
                    view.take()
                    view.track("a")
            await house.wait(1.0)
        for view in views:
            view.take()
            assert (view.epoch, view.values["a"], view.losses) == ("two", 2, [2500, 2500])
        await house.stop()

    play(scene())


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_when_the_node_that_calls_goes_away_the_others_go_on(says_goodbye: bool) -> None:
    async def scene() -> None:
        for gone in range(3):
            house = await House.make()
            backend = house.backend
            backend.set("a", 1, 5)
            views = [await house.view(number) for number in range(3)]
            for view in views:
                view.track("a")
            await house.settle()
            backend.asked.clear()
            backend.gates = []
            await house.wait(INTERVAL + 1)
            assert len(backend.asked) == 1
            views.pop(gone)
            stage = house.stages.pop(gone)
            if says_goodbye:
                await stage.node.stop()
            else:
                line = house.lines[gone]
                line.broken = True
                await line.stop()
            backend.set("a", 2, 6)
            for _ in range(20):
                while backend.gates:
                    backend.open_gate()
                await house.settle()
            backend.gates = None
            await house.wait(3 * INTERVAL)
            for view in views:
                view.take()
                assert view.values == {"a": 2}
            await house.stop()

    play(scene())


def test_a_call_that_nobody_waits_for_harms_nobody() -> None:
    async def scene() -> None:
        house = await House.make()
        backend = house.backend
        backend.set("a", 1, 5)
        backend.gates = []
        view = await house.view(0)
        view.track("a")
        await house.settle()
        view.untrack("a")
        view.peer.send({"unsubscribe": {"channel": CHANNEL}})
        await house.wait(2.0)
        assert CHANNEL not in house.stages[0].node.polls.channels
        other = await house.view(1)
        other.track("a")
        await house.settle()
        while backend.gates:
            backend.open_gate()
            await house.settle()
        assert [push["data"] for push in other.take()] == [1]
        backend.gates = []
        await house.wait(INTERVAL + 1)
        assert backend.gates
        await house.stop()  # with a call on its way

    play(scene())


@given(st.text(max_size=20), st.floats(0, 1e7), st.floats(0.01, 1e4))
def test_nodes_of_a_machine_mean_the_same_time(channel: str, due: float, interval: float) -> None:
    at = aligned(channel, due, interval)
    tolerance = 1e-6 * (interval + due)
    assert due - 0.75 * interval - tolerance <= at <= due + 0.25 * interval + tolerance
    assert aligned(channel, at + 0.2 * interval, interval) == pytest.approx(at, abs=tolerance), "a tick late is not late"
    assert aligned(channel, at + interval, interval) == pytest.approx(at + interval, abs=tolerance)
