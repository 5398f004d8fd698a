"""The cache of keys and the budget of fetches against their plain meaning."""

from __future__ import annotations

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

    @rule(kid=kids)
    def miss(self, kid: str) -> None:
        self.cache.note_missing(kid)
        assert self.cache.is_missing(kid)

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
