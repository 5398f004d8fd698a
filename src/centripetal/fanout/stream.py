"""A channel's stream in memory: the newest items, numbered without gaps, read by position.

The items lie in a ring. Their numbers are consecutive and end at `top`, so where an item lies is arithmetic: a read
costs what it returns, wherever in the stream it starts.
"""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

T = TypeVar("T")

_EPOCH_BYTES = 6


def make_epoch() -> str:
    """Returns a fresh epoch: eight random URL-safe characters."""
    return secrets.token_urlsafe(_EPOCH_BYTES)


class Stream(Generic[T]):
    """The last items of a channel, with offset, epoch and document version.

    Attributes:
        epoch: identifies this incarnation of the stream.
        top: offset of the newest item ever appended; 0 before the first. Clearing does not change it.
        version: document version of the newest item; 0 for none.
        version_epoch: epoch of that version.
    """

    __slots__ = ("_items", "_oldest", "epoch", "top", "version", "version_epoch")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.top = 0
        self.version = 0
        self.version_epoch = ""
        self._items: list[T] = []
        # Index of the oldest item. Not 0 only in a ring that is full.
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: T, size: int) -> None:
        """Adds an item with offset `top + 1`.

        Args:
            item: the newest.
            size: how many items stay at most, at least 1. It may differ from call to call.
        """
        items = self._items
        self.top += 1
        if len(items) == size:
            oldest = self._oldest
            items[oldest] = item
            self._oldest = oldest + 1 if oldest + 1 < size else 0
            return
        if self._oldest or len(items) > size:
            self._items = items = self._resized(size - 1)
            self._oldest = 0
        items.append(item)

    def load(self, items: list[T]) -> None:
        """Puts items behind those that are there, without counting them: `top` is that of the last one already."""
        assert not self._oldest
        self._items += items

    def _resized(self, size: int) -> list[T]:
        """Returns the newest items, at most `size`, oldest first."""
        items, oldest = self._items, self._oldest
        ordered = items[oldest:] + items[:oldest]
        return ordered[max(len(ordered) - size, 0):] if len(ordered) > size else ordered

    def admits(self, version: int, version_epoch: str) -> bool:
        """Tells whether a document version is newer than the stored one.

        Args:
            version: above 0.
            version_epoch: versions of different epochs are not compared; empty compares with any.
        """
        if version_epoch and version_epoch != self.version_epoch:
            return True
        return version > self.version

    def last(self) -> T | None:
        """Returns the newest item, None when nothing is kept."""
        return self._items[self._oldest - 1] if self._items else None

    def after(self, offset: int, limit: int = -1) -> list[T]:
        """Returns items behind an offset, oldest first.

        Args:
            offset: of the item before the first one wanted; 0 for the whole stream.
            limit: at most so many; negative for all.
        """
        count = len(self._items)
        skipped = max(offset - (self.top - count), 0)
        return self._range(skipped, count if limit < 0 else min(skipped + limit, count))

    def before(self, offset: int, limit: int = -1) -> list[T]:
        """Returns items in front of an offset, newest first.

        Args:
            offset: of the item behind the first one wanted; `top + 1` for the whole stream.
            limit: at most so many; negative for all.
        """
        count = len(self._items)
        end = min(offset - 1 - (self.top - count), count)
        found = self._range(0 if limit < 0 else max(end - limit, 0), end)
        found.reverse()
        return found

    def _range(self, start: int, end: int) -> list[T]:
        """Returns the items from the start-th oldest, counted from 0, to before the end-th."""
        if start >= end:
            return []
        items, oldest = self._items, self._oldest
        room = len(items) - oldest
        if end <= room:
            return items[oldest + start: oldest + end]
        if start >= room:
            return items[start - room: end - room]
        return items[oldest + start:] + items[: end - room]

    def clear(self) -> list[T]:
        """Removes all items; offset, epoch and version go on.

        Returns:
            What was removed, in no particular order, so that the caller can free a long list bit by bit.
        """
        items = self._items
        self._items = []
        self._oldest = 0
        return items
