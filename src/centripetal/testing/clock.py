"""A clock that stands still until a test moves it."""

from __future__ import annotations


class ManualClock:
    """Tells the time that the test says; implements `interfaces.Clock`."""

    __slots__ = ("_monotonic", "_time")

    def __init__(self, *, monotonic: float = 1000.0, time: float = 1_700_000_000.0) -> None:
        """Takes where both clocks start, in seconds."""
        self._monotonic = monotonic
        self._time = time

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def time(self) -> float:
        """Unix seconds."""
        return self._time

    def advance(self, seconds: float) -> None:
        """Lets time pass.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("time does not go back; set_time() moves the calendar")
        self._monotonic += seconds
        self._time += seconds

    def set_time(self, time: float) -> None:
        """Sets the calendar, as an administrator may do, also backwards; monotonic time does not notice."""
        self._time = time
