"""Items in order, added, removed and read in pages without sorting anew.

The items lie in runs of bounded length: a change moves one run's items, a page starts where two bisections lead.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Any)

_LONGEST_RUN = 1024
_SHORTEST_RUN = 256
"""Shorter runs are joined with a neighbour, if that one has room."""


class SortedItems(Generic[T]):
    """A set of items that compare with each other, in ascending order."""

    __slots__ = ("_count", "_lasts", "_runs")

    def __init__(self) -> None:
        self._runs: list[list[T]] = []
        self._lasts: list[T] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T) -> None:
        """Adds an item that is not there."""
        self._count += 1
        if not self._runs:
            self._runs.append([item])
            self._lasts.append(item)
            return
        place = bisect_left(self._lasts, item)
        if place == len(self._lasts):
            place -= 1
            run = self._runs[place]
            run.append(item)
            self._lasts[place] = item
        else:
            run = self._runs[place]
            insort(run, item)
        if len(run) > _LONGEST_RUN:
            half = len(run) // 2
            self._runs.insert(place + 1, run[half:])
            del run[half:]
            self._lasts.insert(place, run[-1])

    def remove(self, item: T) -> None:
        """Removes an item that is there."""
        place = bisect_left(self._lasts, item)
        run = self._runs[place]
        del run[bisect_left(run, item)]
        self._count -= 1
        if len(run) >= _SHORTEST_RUN:
            self._lasts[place] = run[-1]
            return
        self._join(place)

    def _join(self, place: int) -> None:
        """Joins a short run with a neighbour; one that is empty goes."""
        run = self._runs[place]
        for left in (place - 1, place):
            if 0 <= left < len(self._runs) - 1 and len(self._runs[left]) + len(self._runs[left + 1]) <= _LONGEST_RUN:
                self._runs[left] += self._runs.pop(left + 1)
                del self._lasts[left + 1]
                self._lasts[left] = self._runs[left][-1]
                return
        if run:
            self._lasts[place] = run[-1]
        else:
            del self._runs[place], self._lasts[place]

    def after(self, item: T | None, limit: int) -> list[T]:
        """Returns items behind one that need not be there, ascending.

        Args:
            item: None for the first ones.
            limit: at most so many; negative for all.
        """
        place = 0 if item is None else bisect_right(self._lasts, item)
        if place == len(self._runs):
            return []
        found = self._runs[place][0 if item is None else bisect_right(self._runs[place], item) :]
        while (limit < 0 or len(found) < limit) and place + 1 < len(self._runs):
            place += 1
            found += self._runs[place]
        return found if limit < 0 else found[:limit]

    def before(self, item: T | None, limit: int) -> list[T]:
        """Returns items in front of one that need not be there, descending.

        Args:
            item: None for the last ones.
            limit: at most so many; negative for all.
        """
        if not self._runs:
            return []
        place = len(self._runs) - 1 if item is None else bisect_left(self._lasts, item)
        if place == len(self._runs):
            place, item = place - 1, None
        run = self._runs[place]
        found = run[: len(run) if item is None else bisect_left(run, item)][::-1]
        while (limit < 0 or len(found) < limit) and place > 0:
            place -= 1
            found += reversed(self._runs[place])
        return found if limit < 0 else found[:limit]
