"""The cache of keys and the budget of fetches against their plain meaning."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from centripetal.auth.key_cache import (
    FETCHES_AT_ONCE,
    FETCHES_PER_MINUTE,
    FRESH_SECONDS,
    MAX_MISSING,
    USABLE_SECONDS,
    FetchBudget,
    KeyCache,
)
from centripetal.auth.key_set import MAX_KEYS
from centripetal.testing import ManualClock


class Cache(RuleBasedStateMachine):
    """The cache against its plain meaning: what the endpoint said when."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.cache = KeyCache(self.clock)
        self.budget = FetchBudget(self.clock)
        self.seen: dict[str, float] = {}
        self.taken: list[float] = []

    kids = st.sampled_from("abcdef")

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.9, 10.0, 600.0, 3599.0, 3600.0, 86_399.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(kids=st.sets(kids, min_size=1))
    def answer(self, kids: set[str]) -> None:
        now = self.clock.monotonic()
        self.cache.store({kid: {} for kid in kids})
        self.seen = {kid: at for kid, at in self.seen.items() if now - at < FRESH_SECONDS}
        self.seen.update(dict.fromkeys(kids, now))

    @rule(kid=kids, age=st.sampled_from([0.0, 5.0, 3599.0, 3600.0, 86_400.0]))
    def be_told(self, kid: str, age: float) -> None:
        self.cache.keep(kid, {}, age)
        self.seen[kid] = self.clock.monotonic() - age

    @rule(kid=kids)
    def withdraw(self, kid: str) -> None:
        self.cache.drop(kid)
        self.seen.pop(kid, None)

    @rule(kid=kids)
    def miss(self, kid: str) -> None:
        self.cache.note_missing(kid)
        assert self.cache.missing_seconds(kid) > 0

    @rule(kid=kids, seconds=st.sampled_from([1.0, 10.0]))
    def miss_for(self, kid: str, seconds: float) -> None:
        self.cache.note_missing(kid, seconds)
        assert self.cache.missing_seconds(kid) == pytest.approx(seconds)

    @rule(number=st.integers(0, 10_000))
    def flood(self, number: int) -> None:
        for one in range(number, number + 300):
            self.cache.note_missing(f"forged{one}")

    @rule(times=st.integers(1, 30))
    def take(self, times: int) -> None:
        now = self.clock.monotonic()
        self.taken += [now for _ in range(times) if self.budget.take()]
        lately = [at for at in self.taken if now - at < 60]
        assert len(lately) <= FETCHES_AT_ONCE + FETCHES_PER_MINUTE

    @invariant()
    def keys_are_as_said(self) -> None:
        now = self.clock.monotonic()
        for kid in "abcdef":
            found = self.cache.find(kid)
            age = now - self.seen[kid] if kid in self.seen else USABLE_SECONDS
            assert (found is not None) == (age < USABLE_SECONDS)
            assert found is None or found.fresh == (age < FRESH_SECONDS)
        assert len(self.cache._missing) <= MAX_MISSING


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def test_of_too_many_keys_that_one_is_told_the_oldest_goes() -> None:
    cache: KeyCache[int] = KeyCache(ManualClock())
    for number in range(2 * MAX_KEYS):
        cache.keep(f"k{number}", number, float(number % 100))
    cache.keep("k99", 1, 0.0)
    assert cache.find("k199") is not None
    cache.keep("new", 2, 50.0)
    assert cache.find("k199") is None
    assert len(cache) == 2 * MAX_KEYS and cache.find("k99") == (1, 0.0)
