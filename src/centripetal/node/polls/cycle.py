"""The cycles in which a polled channel asks for its keys, and the calls that they are made of."""

from __future__ import annotations

from .key import PolledKey
from .rules import PollRules


class Cycle:
    """One round of asking for all keys that there are when it begins.

    Attributes:
        started: when it began, monotonic seconds.
        running: calls of it that have not ended.
    """

    __slots__ = ("_begun", "_keys", "_pause", "_size", "running", "started")

    def __init__(self, keys: list[PolledKey], batch_size: int, interval_seconds: float, now: float) -> None:
        """Begins it; its calls are spread over the interval."""
        self.started = now
        self.running = 0
        self._keys = keys
        self._size = batch_size
        self._begun = 0
        self._pause = interval_seconds / max(-(-len(keys) // batch_size), 1)

    def take_batch(self) -> list[PolledKey]:
        """Returns the keys of the next call, but for those whose value came without being asked for."""
        start = self._begun * self._size
        self._begun += 1
        batch = []
        for key in self._keys[start : start + self._size]:
            if key.fresh:
                key.fresh = False
            else:
                batch.append(key)
        return batch

    @property
    def is_through(self) -> bool:
        """Whether all its calls were made."""
        return self._begun * self._size >= len(self._keys)

    @property
    def next_due(self) -> float:
        """When the next call is to be made, monotonic seconds."""
        return self.started + self._begun * self._pause

    def worked(self, now: float) -> float:
        """Returns how long it took until now without the pauses between its calls."""
        return max(now - self.started - (self._begun - 1) * self._pause, 0.0)


class Call:
    """Keys that are asked for together.

    Attributes:
        keys: which.
        cycle: that it belongs to; None for one that is made at once.
        queued_at: when it was made; `time.perf_counter()`.
    """

    __slots__ = ("cycle", "keys", "queued_at")

    def __init__(self, keys: list[PolledKey], cycle: Cycle | None, queued_at: float) -> None:
        self.keys = keys
        self.cycle = cycle
        self.queued_at = queued_at

    @property
    def trigger(self) -> str:
        """Label of metrics: `timer` or `notification`."""
        return "notification" if self.cycle is None else "timer"


def next_interval(rules: PollRules, interval: float, worked: float) -> float:
    """Returns the interval of the next cycle (`backpressure_max_interval`).

    Args:
        rules: bounds.
        interval: of the cycle that has ended.
        worked: how long its calls took.
    """
    load = worked / interval
    if load > 1.0:
        interval *= 2
    elif load >= 0.5:
        interval *= 1 + (load - 0.5)
    else:
        interval *= 0.75
    return min(max(interval, rules.interval_seconds), max(rules.max_interval_seconds, rules.interval_seconds))
