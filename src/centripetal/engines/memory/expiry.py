"""Finds what has expired without a timer each, and frees it in small steps.

Whoever keeps something with a deadline checks the deadline at every access. The wheel exists only so that memory comes
back when nobody asks any more. That is why it may be late, and being late buys few buckets and no work per renewal.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_INTERVAL_SECONDS = 1.0
_PAUSE_SECONDS = 0.005
# One unit of work is about a microsecond or less, so a step holds the event loop for about a millisecond.
_STEP_BUDGET = 1000

_SHRINK_ABOVE = 1024
_SHRINK_AT_MOST = 8192


class ExpiryWheel(Generic[T]):
    """Items in buckets by the time when somebody should look at them.

    A bucket is as wide as a sixteenth to a thirty-second of the lifetime, at least a second: there are a few hundred
    buckets at most, whatever the number of items and however long they live.
    """

    __slots__ = ("_buckets", "_dues", "_widest")

    def __init__(self, widest_seconds: float = math.inf) -> None:
        """Makes an empty wheel.

        Args:
            widest_seconds: no bucket is wider: what is told to others must not be late. There may be as many buckets as
                moments at which something expires.
        """
        self._widest = widest_seconds
        self._buckets: dict[float, set[T]] = {}
        self._dues: list[float] = []

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def schedule(self, item: T, deadline: float, now: float) -> float:
        """Puts an item into the bucket that ends after its deadline.

        Args:
            item: not in the wheel now.
            deadline: monotonic seconds; infinite for never.
            now: monotonic seconds.

        Returns:
            When the item is due: at most a second or a sixteenth of its lifetime after the deadline, and not later than
            the widest bucket allows.
        """
        if deadline == math.inf:
            return math.inf
        width = min(2.0 ** max(int(deadline - now).bit_length() - 5, 0), self._widest)
        due = (deadline // width + 1.0) * width
        bucket = self._buckets.get(due)
        if bucket is None:
            self._buckets[due] = bucket = set()
            heapq.heappush(self._dues, due)
        bucket.add(item)
        return due

    def cancel(self, item: T, due: float) -> None:
        """Takes an item out again; `due` is what schedule() returned."""
        bucket = self._buckets.get(due)
        if bucket is not None:
            bucket.discard(item)

    def lag(self, now: float) -> float:
        """Returns for how many seconds the oldest item has been due, 0.0 when there is none."""
        for due in self._dues[:1]:
            if due < now and self._buckets[due]:
                return now - due
        return 0.0

    def pop(self, now: float) -> T | None:
        """Takes out an item that is due, None when there is none."""
        dues = self._dues
        while dues and dues[0] <= now:
            bucket = self._buckets[dues[0]]
            if bucket:
                return bucket.pop()
            del self._buckets[heapq.heappop(dues)]
        return None


class Occupancy:
    """Notices a dict that was much larger once: Python keeps its table until the next growth."""

    __slots__ = ("_peak",)

    def __init__(self) -> None:
        self._peak = 0

    def note(self, length: int) -> None:
        """Takes note of a length before entries are removed."""
        self._peak = max(self._peak, length)

    def is_sparse(self, length: int) -> bool:
        """Tells whether a dict of this length should be rebuilt now; only if that is quick, too."""
        if self._peak > _SHRINK_ABOVE and length * 4 < self._peak and length <= _SHRINK_AT_MOST:
            self._peak = length
            return True
        return False


class Sweeper:
    """One timer that calls a sweep once a second, and again soon while work is left."""

    __slots__ = ("_sweep", "_timer")

    def __init__(self, sweep: Callable[[int], bool]) -> None:
        """Takes what to call.

        Args:
            sweep: gets a budget of units of work and returns whether more is left.
        """
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts the timer on the running loop."""
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL_SECONDS, self._run)

    def stop(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        delay = _INTERVAL_SECONDS
        try:
            if self._sweep(_STEP_BUDGET):
                delay = _PAUSE_SECONDS
        finally:
            self._timer = asyncio.get_running_loop().call_later(delay, self._run)
