"""The wheel and the bounded steps of the sweep."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.engines.memory.expiry import ExpiryWheel, Occupancy


@given(st.lists(st.floats(0.001, 3e6), min_size=1, max_size=30), st.floats(0, 1e7))
@settings(max_examples=150, deadline=None)
def test_items_come_out_after_their_deadline_and_not_much_later(lifetimes: list[float], now: float) -> None:
    wheel: ExpiryWheel[int] = ExpiryWheel()
    dues = {}
    for item, lifetime in enumerate(lifetimes):
        dues[item] = due = wheel.schedule(item, now + lifetime, now)
        assert now + lifetime < due <= now + lifetime + max(1.0, lifetime / 16.0) + 1e-6
    assert len(wheel) == len(lifetimes)
    seen = []
    for moment in sorted(set(dues.values())):
        assert wheel.pop(math.nextafter(moment, 0.0)) is None
        while (popped := wheel.pop(moment)) is not None:
            assert dues[popped] == moment
            seen.append(popped)
    assert sorted(seen) == sorted(dues) and len(wheel) == 0


def test_what_was_cancelled_does_not_come_out() -> None:
    wheel: ExpiryWheel[str] = ExpiryWheel()
    due = wheel.schedule("a", 60.0, 0.0)
    wheel.schedule("b", 60.0, 0.0)
    wheel.cancel("a", due)
    wheel.cancel("c", 123.0)
    assert [wheel.pop(1000.0), wheel.pop(1000.0)] == ["b", None]


def test_an_endless_life_is_not_scheduled() -> None:
    wheel: ExpiryWheel[str] = ExpiryWheel()
    assert wheel.schedule("a", math.inf, 0.0) == math.inf
    assert len(wheel) == 0


def test_buckets_stay_few_whatever_moves() -> None:
    """A channel that is published to once a minute for a month goes from far to near and back each time."""
    wheel: ExpiryWheel[str] = ExpiryWheel()
    month = 30 * 86400.0
    for minute in range(40_000):
        now = minute * 61.0
        due = wheel.schedule("a", now + month, now)
        wheel.cancel("a", due)
        wheel.schedule("a", now + 60.0, now)
        assert wheel.pop(now + 70.0) == "a"
    assert len(wheel._dues) == len(wheel._buckets) <= 700


def test_a_dict_is_rebuilt_only_when_it_shrank_much_and_is_small() -> None:
    occupancy = Occupancy()
    occupancy.note(1024)
    assert not occupancy.is_sparse(0)
    occupancy.note(100_000)
    assert not occupancy.is_sparse(8193)
    assert occupancy.is_sparse(8192)
    assert not occupancy.is_sparse(2048)
