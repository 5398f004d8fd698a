"""Logging at a bounded rate: what clients do wrong must not fill the log of the server."""

from __future__ import annotations

import logging
from typing import Any

from ..interfaces import Clock

MAX_EVENTS = 1024
"""Event names are constants, so this is never met; it bounds memory if one is not."""


class Allowance:
    """Token buckets by event name."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        """Makes full buckets.

        Args:
            clock: monotonic seconds.
            per_second: entries with one event name in the long run.
            burst: entries with one event name at once.
        """
        self._clock = clock
        self._per_second = per_second
        self._burst = float(burst)
        # Event name -> [tokens, monotonic second of the last look, entries dropped since the last one let through].
        self._buckets: dict[str, list[float]] = {}

    def take(self, event: str) -> int | None:
        """Asks for one entry.

        Returns:
            How many entries were dropped since the last one let through, or None if this one must be dropped too.
        """
        now = self._clock.monotonic()
        bucket = self._buckets.get(event)
        if bucket is None:
            if len(self._buckets) >= MAX_EVENTS:
                self._buckets.clear()
            bucket = self._buckets[event] = [self._burst, now, 0]
        tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._per_second)
        bucket[1] = now
        if tokens < 1:
            bucket[0] = tokens
            bucket[2] += 1
            return None
        bucket[0] = tokens - 1
        dropped = int(bucket[2])
        bucket[2] = 0
        return dropped

    def drain(self) -> dict[str, int]:
        """Returns the entries dropped and not yet told of, by event name, and forgets them."""
        dropped = {event: int(bucket[2]) for event, bucket in self._buckets.items() if bucket[2]}
        for event in dropped:
            self._buckets[event][2] = 0
        return dropped


class LimitedLogger:
    """A logger for what clients cause. Entries over the limit are dropped and counted in the next one (`dropped`)."""

    def __init__(self, logger: Any, clock: Clock, *, per_second: float = 10.0, burst: int = 50) -> None:
        """Wraps a logger.

        Args:
            logger: of structlog.
            clock: monotonic seconds.
            per_second: entries with one event name in the long run.
            burst: entries with one event name at once.
        """
        self._logger = logger
        self._allowance = Allowance(clock, per_second=per_second, burst=burst)

    def debug(self, event: str, **fields: Any) -> None:
        """Logs at level debug."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Logs at level info."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Logs at level warn."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Logs at level error."""
        self._log(logging.ERROR, event, fields)

    def report_dropped(self) -> None:
        """Logs how many entries were dropped and not told of since; for a quiet moment, and at the end."""
        for event, count in self._allowance.drain().items():
            self._logger.warning("log_entries_dropped", dropped_event=event, dropped=count)

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if not self._logger.is_enabled_for(level):
            return
        dropped = self._allowance.take(event)
        if dropped is None:
            return
        if dropped:
            fields["dropped"] = dropped
        self._logger.log(level, event, **fields)
