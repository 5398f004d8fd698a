"""The gate: how many newcomers come in by turns of the loop, who waits and who is turned away."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from centripetal.transports.gate import FEWEST, FIRST, LONG_TURN_SECONDS, MOST, PATIENCE_SECONDS, Gate


class Loop:
    """Turns by hand: what is called soon runs in the next turn, which comes when a test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self, seconds: float = 0.001) -> None:
        self.now += seconds
        callbacks, self.soon = self.soon, []
        for callback in callbacks:
            callback()


class Newcomer:
    def __init__(self) -> None:
        self.outcome = ""

    def let_in(self) -> None:
        assert not self.outcome
        self.outcome = "in"

    def turn_away(self) -> None:
        assert not self.outcome
        self.outcome = "away"


def arrive(gate: Gate, count: int) -> list[Newcomer]:
    newcomers = [Newcomer() for _ in range(count)]
    for newcomer in newcomers:
        if gate.enter(newcomer):  # type: ignore[arg-type]
            newcomer.let_in()
    return newcomers


def inside(newcomers: list[Newcomer]) -> int:
    return sum(newcomer.outcome == "in" for newcomer in newcomers)


def test_few_come_in_at_once_and_nothing_is_left_to_do() -> None:
    loop = Loop()
    gate = Gate(loop)  # type: ignore[arg-type]
    assert inside(arrive(gate, FIRST)) == FIRST
    assert not gate.has_room
    loop.turn()
    assert loop.soon == []
    assert gate.has_room


def test_the_others_wait_in_order_and_short_turns_let_in_more() -> None:
    loop = Loop()
    gate = Gate(loop)  # type: ignore[arg-type]
    newcomers = arrive(gate, 2000)
    counts = [inside(newcomers)]
    while loop.soon:
        assert [newcomer.outcome for newcomer in newcomers] == ["in"] * counts[-1] + [""] * (2000 - counts[-1])
        loop.turn(0.005)
        counts.append(inside(newcomers))
    assert counts[-1] == 2000
    steps = [after - before for before, after in itertools.pairwise(counts)]
    assert steps[0] < steps[5] <= MOST


def test_long_turns_let_in_fewer_but_never_none() -> None:
    loop = Loop()
    gate = Gate(loop)  # type: ignore[arg-type]
    newcomers = arrive(gate, 500)
    for _ in range(4):
        loop.turn(2 * LONG_TURN_SECONDS)
    before = inside(newcomers)
    loop.turn(2 * LONG_TURN_SECONDS)
    assert inside(newcomers) - before == FEWEST


def test_who_comes_later_does_not_overtake() -> None:
    loop = Loop()
    gate = Gate(loop)  # type: ignore[arg-type]
    first = arrive(gate, FIRST + 1)
    second = arrive(gate, 1)
    assert (inside(first), inside(second)) == (FIRST, 0)
    loop.turn()
    assert (inside(first), inside(second)) == (FIRST + 1, 1)


def test_patience_ends() -> None:
    loop = Loop()
    away = 0

    def count() -> None:
        nonlocal away
        away += 1

    gate = Gate(loop, count)  # type: ignore[arg-type]
    newcomers = arrive(gate, 10_000)
    while loop.soon:
        loop.turn(LONG_TURN_SECONDS * 1.5)
    assert away == sum(newcomer.outcome == "away" for newcomer in newcomers) == 10_000 - inside(newcomers) > 0
    assert inside(newcomers) >= FEWEST * int(PATIENCE_SECONDS / (LONG_TURN_SECONDS * 1.5))


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0.0, 0.3)), max_size=30))
def test_each_is_told_once_and_turns_end(arrivals: list[tuple[int, float]]) -> None:
    loop = Loop()
    gate = Gate(loop)  # type: ignore[arg-type]
    newcomers: list[Newcomer] = []
    for count, seconds in arrivals:
        newcomers += arrive(gate, count)
        loop.turn(seconds)
    for _ in range(10_000):
        if not loop.soon:
            break
        loop.turn()
    assert loop.soon == []
    assert all(newcomer.outcome for newcomer in newcomers)
