"""Deadlines of many connections with one timer.

Connections sit in a bucket per second and are looked at when it comes up. A connection whose deadline was put off meanwhile
is moved then, so that putting it off is a plain assignment.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

# One sweep must not hold the loop; the rest of it follows in the next turn.
_SLICE_SECONDS = 0.004
_ITEMS_PER_CLOCK_READ = 64


class Expiring(Protocol):
    """What can miss a deadline.

    Attributes:
        deadline: seconds on the event loop's clock.
        bucket: where Deadlines keeps it, None while it is not watched; nobody else sets it.
    """

    deadline: float
    bucket: set[Expiring] | None

    def expire(self) -> None:
        """The deadline has passed; it is no longer watched."""


class Deadlines:
    """Watches deadlines, to about a second. Its one timer runs only while something is watched.

    Args:
        loop: the event loop that everything is called on; None for the one that runs when something is first watched.
    """

    __slots__ = ("_buckets", "_given_loop", "_handle", "_next", "_now")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._given_loop = loop
        self._buckets: dict[int, set[Expiring]] = {}
        self._handle: asyncio.Handle | None = None
        self._next = 0  # the second whose bucket comes next
        self._now = 0.0  # when the clock was last read

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._given_loop is None:
            self._given_loop = asyncio.get_running_loop()
        return self._given_loop

    def watch(self, item: Expiring, seconds: float) -> None:
        """Sets an item's deadline, whether it is watched already or not.

        Args:
            item: calls for `forget` when it goes away.
            seconds: from now.
        """
        now = self._now = self._loop.time()
        earlier = now + seconds < item.deadline
        item.deadline = now + seconds
        if item.bucket is None or earlier:
            self.forget(item)
            self._insert(item)
            if self._handle is None:
                self._next = int(now)
                self._handle = self._loop.call_later(1.0, self._sweep)

    def put_off(self, item: Expiring, seconds: float) -> None:
        """Does what watch() does, but without reading the clock if it can: the deadline may be a second too early."""
        deadline = self._now + seconds
        if item.bucket is None or deadline < item.deadline:
            self.watch(item, seconds)
        else:
            item.deadline = deadline

    def forget(self, item: Expiring) -> None:
        """Stops watching an item; does nothing when it is not watched."""
        bucket = item.bucket
        if bucket is not None:
            bucket.discard(item)
            item.bucket = None

    def close(self) -> None:
        """Stops the timer for good."""
        if self._handle is not None:
            self._handle.cancel()
        self._buckets.clear()

    def _insert(self, item: Expiring) -> None:
        second = int(item.deadline) + 1
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = set()
        bucket.add(item)
        item.bucket = bucket

    def _sweep(self) -> None:
        now = self._now = self._loop.time()
        looked_at = 0
        while self._next <= now:
            bucket = self._buckets.get(self._next)
            while bucket:
                item = bucket.pop()
                item.bucket = None
                if item.deadline > now:
                    self._insert(item)
                else:
                    item.expire()
                looked_at += 1
                if looked_at % _ITEMS_PER_CLOCK_READ == 0 and self._loop.time() - now > _SLICE_SECONDS:
                    self._handle = self._loop.call_soon(self._sweep)
                    return
            self._buckets.pop(self._next, None)
            self._next += 1
        self._handle = self._loop.call_later(1.0, self._sweep) if self._buckets else None
