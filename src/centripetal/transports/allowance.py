"""How often something may happen."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """Lets something happen so many times at once, and then so often.

    Args:
        burst: times at once.
        per_second: times that come back each second.
        time: a monotonic clock, in seconds.
    """

    __slots__ = ("_burst", "_filled_at", "_left", "_per_second", "_time")

    def __init__(self, burst: int, per_second: float, time: Callable[[], float]) -> None:
        self._burst = self._left = float(burst)
        self._per_second = per_second
        self._time = time
        self._filled_at = time()

    def take(self) -> bool:
        """Counts one time and says whether it was allowed."""
        now = self._time()
        self._left = min(self._burst, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
