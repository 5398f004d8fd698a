"""The timing wheel against a plain model, and its slices."""

from __future__ import annotations

import gc
import sys
import weakref
from itertools import chain
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from centripetal.fanout.wheel import TimingWheel


class Thing:
    """An item with a number."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.wheel_slot: Any = None


def fire(wheel: TimingWheel[Thing], now: int, limit: int = 256) -> list[Thing]:
    """Returns everything that is due."""
    return list(chain.from_iterable(wheel.advance(now, limit)))


@pytest.mark.parametrize("due", [1, 2, 7, 8, 9, 63, 64, 1000])
def test_fires_in_its_tick_and_not_before(due: int) -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    thing = Thing()
    wheel.schedule(thing, due)
    for now in range(due):
        assert fire(wheel, now) == []
    assert len(wheel) == 1
    assert fire(wheel, due) == [thing]
    assert thing.wheel_slot is None
    assert len(wheel) == 0
    assert fire(wheel, due + 100) == []


def test_ticks_fire_in_their_order() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(16)
    for number in (5, 2, 9, 3):
        wheel.schedule(Thing(number), number)
    assert [thing.number for thing in fire(wheel, 9)] == [2, 3, 5, 9]


def test_a_tick_that_has_passed_means_the_next() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8, tick=100)
    thing = Thing()
    wheel.schedule(thing, 7)
    assert fire(wheel, 100) == []
    assert fire(wheel, 101) == [thing]


def test_scheduling_again_moves() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    thing = Thing()
    wheel.schedule(thing, 3)
    wheel.schedule(thing, 5)
    assert len(wheel) == 1
    assert fire(wheel, 4) == []
    assert fire(wheel, 5) == [thing]


def test_a_cancelled_item_is_forgotten() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    thing = Thing()
    wheel.schedule(thing, 3)
    wheel.cancel(thing)
    wheel.cancel(thing)
    assert thing.wheel_slot is None
    assert len(wheel) == 0
    reference = weakref.ref(thing)
    del thing
    gc.collect()
    assert reference() is None
    assert fire(wheel, 10) == []


def test_many_items_of_one_tick_come_in_slices() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    things = [Thing(number) for number in range(10_000)]
    for thing in things:
        wheel.schedule(thing, 3)
    slices = list(wheel.advance(3, 100))
    assert [len(items) for items in slices] == [100] * 100
    assert set(chain.from_iterable(slices)) == set(things)


def test_items_of_later_rounds_are_looked_at_in_slices_too() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    things = [Thing(number) for number in range(250)]
    for thing in things:
        wheel.schedule(thing, 8 + 3)
    assert list(wheel.advance(3, 100)) == [[], []]
    assert len(wheel) == 250
    assert set(fire(wheel, 11)) == set(things)


def test_cancelling_and_scheduling_between_slices() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    things = [Thing(number) for number in range(10)]
    for thing in things:
        wheel.schedule(thing, 2)
    late = [Thing(100 + number) for number in range(10)]
    for thing in late:
        wheel.schedule(thing, 10)
    seen: list[Thing] = []
    for number, items in enumerate(wheel.advance(4, 3)):
        seen += items
        if number == 3:
            remaining = [thing for thing in things if thing.wheel_slot is not None]
            for thing in remaining:
                wheel.cancel(thing)
            aside = [thing for thing in late if thing.wheel_slot is not None]
            wheel.cancel(aside[0])
            wheel.schedule(aside[1], 2)
    assert aside[1] in seen
    assert not set(remaining) & set(seen)
    assert len(seen) + len(remaining) == 11
    assert len(wheel) == 8
    assert set(fire(wheel, 10)) == set(late) - set(aside[:2])


def test_a_pass_that_was_left_is_gone_on_with() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(4)
    for number in range(10):
        wheel.schedule(Thing(number), 1 + number % 2 * 4)
    first = next(wheel.advance(1, 3))
    assert len(wheel) == 10 - len(first)
    two_passes = (wheel.advance(2, 3), wheel.advance(3, 3))
    seen = first + [thing for items in two_passes for thing in chain.from_iterable(items)]
    assert sorted(thing.number for thing in seen) == [0, 2, 4, 6, 8]
    assert sorted(thing.number for thing in fire(wheel, 5)) == [1, 3, 5, 7, 9]


def test_interleaved_passes_lose_nothing() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(4)
    for number in range(40):
        wheel.schedule(Thing(number), 1 + number % 12)
    seen: list[Thing] = []
    passes = [wheel.advance(2, 2), wheel.advance(6, 3), wheel.advance(9, 2)]
    while passes:
        for items in list(passes):
            found = next(items, None)
            if found is None:
                passes.remove(items)
            else:
                seen += found
    seen += fire(wheel, 12)
    assert sorted(thing.number for thing in seen) == list(range(40))


def test_a_long_pause_costs_one_round() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    due, later = Thing(1), Thing(2)
    wheel.schedule(due, 10**6)
    wheel.schedule(later, 10**12)
    assert fire(wheel, 10**9) == [due]
    assert wheel.tick == 10**9
    assert fire(wheel, 10**12 - 1) == []
    assert fire(wheel, 10**12) == [later]


@pytest.mark.parametrize("slots", [0, -8, 3, 1000])
def test_the_number_of_slots_is_a_power_of_two(slots: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        TimingWheel(slots)


def test_room_for_many_comes_back_when_they_have_gone() -> None:
    wheel: TimingWheel[Thing] = TimingWheel(8)
    things = [Thing(number) for number in range(8000)]
    for thing in things:
        wheel.schedule(thing, 1 + thing.number % 16)
    for thing in things:
        wheel.cancel(thing)
    fire(wheel, 8)
    assert sum(map(sys.getsizeof, wheel._slots)) == 8 * sys.getsizeof({})


class WheelMachine(RuleBasedStateMachine):
    """A wheel and a dict of due ticks, under the same calls."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel: TimingWheel[Thing] = TimingWheel(8)
        self.things = [Thing(number) for number in range(12)]
        self.due: dict[Thing, int] = {}
        self.now = 0

    @rule(number=st.integers(0, 11), delay=st.integers(-3, 40))
    def schedule(self, number: int, delay: int) -> None:
        thing = self.things[number]
        self.wheel.schedule(thing, self.now + delay)
        self.due[thing] = max(self.now + delay, self.now + 1)

    @rule(number=st.integers(0, 11))
    def cancel(self, number: int) -> None:
        self.wheel.cancel(self.things[number])
        self.due.pop(self.things[number], None)

    @rule(ticks=st.one_of(st.integers(0, 3), st.integers(0, 60)), limit=st.integers(1, 5), again=st.integers(-2, 11))
    def advance(self, ticks: int, limit: int, again: int) -> None:
        self.now += ticks
        expected = {thing for thing, due in self.due.items() if due <= self.now}
        seen: set[Thing] = set()
        for items in self.wheel.advance(self.now, limit):
            assert len(items) <= limit
            assert not seen & set(items)
            seen.update(items)
            if again >= 0 and self.things[again] in items:
                self.wheel.schedule(self.things[again], self.now + 1 + again)
        assert seen == expected
        for thing in seen:
            del self.due[thing]
        if again >= 0 and self.things[again] in seen:
            self.due[self.things[again]] = self.now + 1 + again

    @invariant()
    def the_same_are_scheduled(self) -> None:
        assert len(self.wheel) == len(self.due)
        assert {thing for thing in self.things if thing.wheel_slot is not None} == set(self.due)


WheelMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWheelMachine = WheelMachine.TestCase
