"""The timing wheel: thousands of things that happen later, without a timer for each.

A wheel is a ring of slots; an item lies in the slot of its due tick modulo the ring's size, together with items that are
due whole rounds later. Time is counted in ticks by the caller: the wheel reads no clock. Scheduling, cancelling and firing
take constant time; an item costs one dict entry in its slot and holds its own handle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar


class WheelItem(Protocol):
    """What can be on a wheel, one at a time. Must be hashed by identity.

    Attributes:
        wheel_slot: belongs to the wheel; None while the item is not scheduled, and at first.
    """

    wheel_slot: Any


Item = TypeVar("Item", bound=WheelItem)


class TimingWheel(Generic[Item]):
    """Items by the tick when they are due.

    Attributes:
        tick: the last tick that was advanced to; while advance() works, the one that it is at.
    """

    __slots__ = ("_aside", "_mask", "_open", "_slots", "tick")

    def __init__(self, slots: int, tick: int = 0) -> None:
        """Makes an empty wheel.

        Args:
            slots: size of the ring, a power of two. Items due within so many ticks are looked at once.
            tick: where time begins.

        Raises:
            ValueError: `slots` is not a power of two.
        """
        if slots < 1 or slots & (slots - 1):
            raise ValueError("the number of slots must be a power of two")
        self._slots: list[dict[Item, int]] = [{} for _ in range(slots)]
        self._mask = slots - 1
        self._aside: dict[Item, int] = {}
        """Items of later rounds, taken out of the slot that is being emptied."""
        self._open = False
        """Whether the slot of `tick` is being emptied."""
        self.tick = tick

    def __len__(self) -> int:
        """Counts the scheduled items; looks at every slot."""
        return sum(map(len, self._slots)) + len(self._aside)

    def schedule(self, item: Item, due_tick: int) -> None:
        """Schedules an item, in place of when it was scheduled before.

        Args:
            item: what.
            due_tick: when; a tick that has passed already means the next one.
        """
        if item.wheel_slot is not None:
            del item.wheel_slot[item]
        if due_tick <= self.tick:
            due_tick = self.tick + 1
        slot = self._slots[due_tick & self._mask]
        slot[item] = due_tick
        item.wheel_slot = slot

    def cancel(self, item: Item) -> None:
        """Takes an item off; no reference to it remains. Does nothing when it is not scheduled."""
        slot = item.wheel_slot
        if slot is not None:
            item.wheel_slot = None
            del slot[item]

    def advance(self, now_tick: int, limit: int = 256) -> Iterator[list[Item]]:
        """Takes off what is due, tick by tick, in no particular order within one.

        Between two lists items may be scheduled and cancelled, and the caller may do other work or stop: the next call
        goes on where this one was left.

        Args:
            now_tick: up to and including this tick.
            limit: most items looked at for one list.

        Yields:
            Lists of at most `limit` items, not scheduled any more. A list is empty only where `limit` items of later
            rounds had to be looked at.
        """
        due: list[Item] = []
        looked_at = 0
        while self._open or self.tick < now_tick:
            if not self._open:
                # Each slot once is enough, however long the pause was: the items know their own ticks.
                self.tick = max(self.tick + 1, now_tick - self._mask)
                self._open = True
            slot = self._slots[self.tick & self._mask]
            while slot and looked_at < limit:
                looked_at += 1
                item, due_tick = slot.popitem()
                if due_tick <= now_tick:
                    item.wheel_slot = None
                    due.append(item)
                else:
                    self._aside[item] = due_tick
                    item.wheel_slot = self._aside
            if looked_at == limit:
                yield due
                due = []
                looked_at = 0
            else:
                slot.clear()  # it is empty, but keeps the room for as many as it ever had
                if self._aside:
                    self._slots[self.tick & self._mask], self._aside = self._aside, slot
                self._open = False
        if due:
            yield due
