"""The clockwork of a node: one timer of the event loop for everything that happens later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from ..fanout.wheel import TimingWheel
from ..interfaces import Clock

TICK_SECONDS = 0.05
WHEEL_SLOTS = 1024
ITEMS_A_SLICE = 200
"""So many items are called in one go: about two milliseconds of pings."""


class Scheduled(Protocol):
    """What can be on the wheel, once at a time.

    Attributes:
        wheel_slot: belongs to the wheel.
    """

    wheel_slot: object

    def on_due(self, now: float) -> None:
        """Its time has come; it may schedule itself again.

        Args:
            now: monotonic seconds.
        """


class Ticker:
    """Calls items when they are due, and some functions every second.

    Attributes:
        every_second: called about once a second.
    """

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._start = clock.monotonic()
        self._wheel = TimingWheel[Scheduled](WHEEL_SLOTS)
        self._timer: asyncio.TimerHandle | None = None
        self._advancing = False
        self._next_second = self._start + 1
        self.every_second: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begins to tick."""
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def schedule(self, item: Scheduled, due: float) -> None:
        """Has an item called at a monotonic time, in place of when it was scheduled before."""
        ticks = int((due - self._start) / TICK_SECONDS) + 1
        self._wheel.schedule(item, ticks)

    def cancel(self, item: Scheduled) -> None:
        """Takes an item off the wheel; no reference to it remains."""
        self._wheel.cancel(item)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)
        now = self._clock.monotonic()
        if now >= self._next_second:
            self._next_second = now + 1
            for function in self.every_second:
                function()
        if not self._advancing:
            self._advancing = True
            self.advance()

    def advance(self) -> None:
        """Calls what is due by now, a slice at once; the rest at the end of the turn."""
        now = self._clock.monotonic()
        items = next(self._wheel.advance(int((now - self._start) / TICK_SECONDS), ITEMS_A_SLICE), None)
        if items is None:
            self._advancing = False
        else:
            self._call(items, now)
            self._loop.call_soon(self.advance)

    def _call(self, items: list[Scheduled], now: float) -> None:
        for item in items:
            try:
                item.on_due(now)
            except Exception:  # noqa: BLE001 - a mistake of ours must not end the others
                structlog.get_logger("centripetal.node").exception("scheduled_work_failed")
