"""What is known of one endpoint's keys, and how often it may be asked. Reads a clock; does no input or output.

Every answer of the endpoint renews the keys in it. A key that was in no answer for an hour has to be looked up again: if
the endpoint answers without it, it is gone; if the endpoint does not answer, it counts for a day at most, so that an outage
of the key server locks nobody out. Ids that are in no answer are remembered for some seconds, and a bucket bounds how
often the endpoint is asked, whatever the number of ids that somebody makes up. Made-up ids never displace keys.
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

from ..interfaces import Clock
from .key_set import MAX_KEYS, MAX_KID_CHARACTERS

FRESH_SECONDS = 3600.0
USABLE_SECONDS = 86_400.0
MISSING_SECONDS = 10.0
MAX_MISSING = 256

FETCHES_AT_ONCE = 10
FETCHES_PER_MINUTE = 10.0


Key = TypeVar("Key")


class Found(NamedTuple, Generic[Key]):
    """A key that is known.

    Attributes:
        key: what is kept of it.
        age_seconds: since the endpoint was last heard to have it.
    """

    key: Key
    age_seconds: float

    @property
    def fresh(self) -> bool:
        """Whether it need not be looked up again."""
        return self.age_seconds < FRESH_SECONDS


class FetchBudget:
    """A bucket of permissions: some at once, then so many a minute."""

    __slots__ = ("_at", "_clock", "_left", "_most", "_per_second")

    def __init__(
        self, clock: Clock, at_once: int = FETCHES_AT_ONCE, per_minute: float = FETCHES_PER_MINUTE
    ) -> None:
        self._clock = clock
        self._most = float(at_once)
        self._left = float(at_once)
        self._per_second = per_minute / 60.0
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Whether there was a permission; it is used up then."""
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class KeyCache(Generic[Key]):
    """The keys of one endpoint."""

    __slots__ = ("_clock", "_keys", "_missing")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, tuple[Key, float]] = {}
        self._missing: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str) -> Found[Key] | None:
        """Returns a key, fresh or not; None if it is not known or too old."""
        entry = self._keys.get(kid)
        if entry is None:
            return None
        key, seen_at = entry
        age = self._clock.monotonic() - seen_at
        if age >= USABLE_SECONDS:
            del self._keys[kid]
            return None
        return Found(key, age)

    def store(self, keys: dict[str, Key]) -> None:
        """Takes a set that the endpoint answered; older keys stay until their hour is over."""
        now = self._clock.monotonic()
        kept = [
            (kid, entry) for kid, entry in self._keys.items() if kid not in keys and now - entry[1] < FRESH_SECONDS
        ]
        kept.sort(key=lambda item: item[1][1])
        self._keys = dict(kept[-MAX_KEYS:])
        self._keys.update((kid, (key, now)) for kid, key in keys.items())

    def keep(self, kid: str, key: Key, age_seconds: float) -> None:
        """Takes one key that somebody else was given so long ago."""
        self._keys.pop(kid, None)
        if len(self._keys) >= 2 * MAX_KEYS:
            del self._keys[min(self._keys, key=lambda known: self._keys[known][1])]
        self._keys[kid] = key, self._clock.monotonic() - age_seconds

    def drop(self, kid: str) -> None:
        """Forgets a key, if it is known."""
        self._keys.pop(kid, None)

    def missing_seconds(self, kid: str) -> float:
        """Returns how long it counts still that the endpoint has no such key; 0 if it did not say so.

        Ids of an impossible length are never there.
        """
        if not 0 < len(kid) <= MAX_KID_CHARACTERS:
            return math.inf
        return max(self._missing.get(kid, 0.0) - self._clock.monotonic(), 0.0)

    def note_missing(self, kid: str, seconds: float = MISSING_SECONDS) -> None:
        """Remembers for some time that the endpoint has no such key."""
        self._missing.pop(kid, None)
        if len(self._missing) >= MAX_MISSING:
            del self._missing[next(iter(self._missing))]
        self._missing[kid] = self._clock.monotonic() + seconds
