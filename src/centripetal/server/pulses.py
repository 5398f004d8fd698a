"""How the supervisor notices a process that is there but does nothing any more: stopped, or caught in a loop."""

from __future__ import annotations

import mmap

CHECK_SECONDS = 5.0
"""The supervisor looks so often."""

MISSED_CHECKS = 6
"""A process that has not moved between so many looks is given up. Looks are counted, not seconds: when all processes were
stopped together, nobody is to blame."""

_BYTES = 8


class Pulses:
    """A pulse for each process, in memory that they share. Make it before they are forked.

    Args:
        count: how many processes there are.
    """

    def __init__(self, count: int) -> None:
        self._beats = memoryview(mmap.mmap(-1, count * _BYTES)).cast("Q")
        self._seen = [0] * count
        self._missed = [0] * count
        self._checked_at = 0.0

    def beat(self, process: int) -> None:
        """Tells that a process works; only the process itself does, about every second.

        Args:
            process: from 0.
        """
        self._beats[process] = (self._beats[process] + 1) % 2**64

    def begin(self, process: int) -> None:
        """A process is started, and has as much time as all to beat."""
        self._missed[process] = 0

    def pause(self, now: float) -> float:
        """Returns the seconds until the next look."""
        return max(self._checked_at + CHECK_SECONDS - now, 0.0)

    def check(self, now: float) -> list[int]:
        """Looks, if it is time to; returns the processes that are given up.

        Args:
            now: monotonic seconds.
        """
        if self.pause(now) > 0.0:
            return []
        self._checked_at = now
        for process, beat in enumerate(self._beats):
            self._missed[process] = self._missed[process] + 1 if beat == self._seen[process] else 0
            self._seen[process] = beat
        return [process for process, missed in enumerate(self._missed) if missed >= MISSED_CHECKS]
