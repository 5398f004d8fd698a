"""What changed in a map while its state is read in pages: the latest change of each key, kept once for all readers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_DROPPED_AT_ONCE = 1000
"""At most so many changes are dropped when a reader ends; each further change drops some more."""


class ChangeLog:
    """The latest change of each key since the first of the present readers began, in the order of those changes.

    It takes publications like somebody who joins (`Channel.joining`). What no reader needs any more is dropped when a
    reader ends, so that it holds at most one change for each key.

    Attributes:
        sequence: number of changes taken.
        origin: offset of the first one.
        top: offset of the last one; 0 without a stream.
        broken: a change was lost, or the map was made anew: the log does not tell what the state is.
    """

    __slots__ = ("_changes", "_epoch", "_readers", "broken", "origin", "sequence", "top")

    def __init__(self) -> None:
        self._changes: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._readers: OrderedDict[object, int] = OrderedDict()
        self._epoch = ""
        self.sequence = 0
        self.origin = self.top = 0
        self.broken = False

    def __len__(self) -> int:
        return len(self._changes)

    def append(self, arrival: tuple[Any, str]) -> None:
        """Takes a change, with the epoch of its map."""
        publication, epoch = arrival
        self.sequence += 1
        if self.sequence == 1:
            self.origin = publication.offset
        elif epoch != self._epoch or (self.top and publication.offset != self.top + 1):
            self.broken = True
        self._epoch = epoch
        self.top = publication.offset
        self._changes[publication.key] = (self.sequence, publication)
        self._changes.move_to_end(publication.key)
        self._drop(2)

    def begin(self, reader: object) -> int:
        """Keeps changes for a reader until end(); returns the number of the last one before."""
        self._readers[reader] = self.sequence
        return self.sequence

    def end(self, reader: object) -> bool:
        """Forgets a reader, and what only that one needed; returns whether it was the last."""
        self._readers.pop(reader, None)
        if not self._readers:
            return True
        self._drop(_DROPPED_AT_ONCE)
        return False

    def _drop(self, limit: int) -> None:
        """Drops changes that all readers have seen."""
        changes, oldest = self._changes, next(iter(self._readers.values()))
        while limit and changes:
            key = next(iter(changes))
            if changes[key][0] > oldest:
                return
            del changes[key]
            limit -= 1

    def number_of(self, key: str) -> int:
        """Returns the number of a key's latest change, 0 for none."""
        change = self._changes.get(key)
        return 0 if change is None else change[0]

    def after(self, sequence: int) -> list[tuple[int, Any]]:
        """Returns the changes behind a number, each with its own."""
        found = []
        for change in reversed(self._changes.values()):
            if change[0] <= sequence:
                break
            found.append(change)
        found.reverse()
        return found
