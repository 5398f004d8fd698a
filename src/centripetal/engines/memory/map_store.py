"""The maps that a broker keeps, for how long they and their keys live, and how their memory comes back."""

from __future__ import annotations

import math

from ...interfaces import MapRetention
from ...model import Publication
from .expiry import ExpiryWheel, Occupancy
from .map_channel import Entry, MapChannel

_FREED_AT_ONCE = 1000
"""More changes or keys than this are freed by the sweep, bit by bit."""

_LATEST_REMOVAL_SECONDS = 0.25
"""Expired keys are looked for in buckets of this width: subscribers wait for the removal."""


class MapStore:
    """Maps by channel, and when the sweep has to look at them.

    All times are monotonic seconds. What follows for others from the end of a key is its owner's affair, who asks for keys
    by `pop_key` and takes them out.

    Attributes:
        maps: by channel; one whose life is over may still be there, unless `open` gave it.
    """

    __slots__ = ("_discarded", "_keys", "_occupancy", "_wheel", "maps")

    def __init__(self) -> None:
        self.maps: dict[str, MapChannel] = {}
        self._occupancy = Occupancy()
        self._wheel: ExpiryWheel[MapChannel] = ExpiryWheel()
        self._keys: ExpiryWheel[Entry] = ExpiryWheel(_LATEST_REMOVAL_SECONDS)
        self._discarded: list[list[Publication] | dict[str, Entry]] = []

    # Maps

    def open(self, channel: str, retention: MapRetention, now: float) -> MapChannel:
        """Returns a map as of now, a new one when there is none, and renews its life."""
        kept = self.maps.get(channel)
        if kept is not None and kept.forget_at <= now and not kept.entries:
            self.forget(kept)
            kept = None
        if kept is None:
            self.maps[channel] = kept = MapChannel(channel, retention)
        elif kept.expires_at <= now:
            self._clear_stream(kept)
        kept.renew(retention, now)
        self.watch(kept, kept.forget_at, now)
        return kept

    def watch(self, kept: MapChannel, deadline: float, now: float) -> None:
        """Has the sweep look at a map soon after a deadline; a look that is too early costs little."""
        if kept.due > deadline + (deadline - now) / 8.0 + 1.0:
            self._reschedule(kept, now)

    def restore(self, kept: MapChannel, now: float) -> None:
        """Takes up a map with the deadlines that it has; for its keys `schedule` follows."""
        self.maps[kept.name] = kept
        self._reschedule(kept, now)

    def forget(self, kept: MapChannel) -> None:
        """Drops a map with its keys."""
        del self.maps[kept.name]
        if kept.due != math.inf:
            self._wheel.cancel(kept, kept.due)
            kept.due = math.inf
        self._clear_stream(kept)
        entries, kept.entries = kept.entries, {}
        if len(entries) > _FREED_AT_ONCE:
            self._discarded.append(entries)
        else:
            for entry in entries.values():
                self._keys.cancel(entry, entry.due)

    # Keys

    def set_lifetime(self, entry: Entry, now: float) -> None:
        """Has a key live for as long as its map's retention says."""
        ttl = entry.channel.retention.key_ttl_seconds
        entry.expires_at = now + ttl if ttl > 0 else math.inf
        if entry.due > entry.expires_at + _LATEST_REMOVAL_SECONDS:
            self.schedule(entry, now)

    def schedule(self, entry: Entry, now: float) -> None:
        """Has the sweep look at a key when it expires."""
        self._keys.cancel(entry, entry.due)
        entry.due = self._keys.schedule(entry, entry.expires_at, now)

    def drop(self, entry: Entry) -> None:
        """Takes a key out of its map."""
        self._keys.cancel(entry, entry.due)
        entry.due = math.inf
        entry.channel.drop(entry)

    def pop_key(self, now: float) -> Entry | None:
        """Returns a key that is to be looked at: its life is over, or was renewed (see `schedule`). None without one."""
        entry = self._keys.pop(now)
        if entry is not None:
            entry.due = math.inf
        return entry

    def expiry_lag_seconds(self, now: float) -> float:
        """Returns for how long the oldest key that should be gone has been there."""
        return self._keys.lag(now)

    # The sweep

    def sweep(self, budget: int, now: float) -> int:
        """Removes maps and streams whose time is over, and frees what was discarded.

        Args:
            budget: units of work, about a microsecond each.
            now: the time.

        Returns:
            What is left of the budget.
        """
        self._occupancy.note(len(self.maps))
        budget = self._sweep_maps(budget, now)
        while self._discarded and budget > 0:
            budget -= self._free(self._discarded[-1], budget)
        if self._occupancy.is_sparse(len(self.maps)):
            self.maps = dict(self.maps)
        return budget

    def _sweep_maps(self, budget: int, now: float) -> int:
        while budget > 0:
            kept = self._wheel.pop(now)
            if kept is None:
                break
            budget -= 1
            kept.due = math.inf
            if kept.forget_at <= now:
                if not kept.entries:
                    self.forget(kept)
                    continue
                kept.renew(kept.retention, now)
            if kept.expires_at <= now:
                self._clear_stream(kept)
            self._reschedule(kept, now)
        return budget

    def _free(self, discarded: list[Publication] | dict[str, Entry], budget: int) -> int:
        freed = max(min(len(discarded), budget), 1)
        if isinstance(discarded, list):
            del discarded[max(len(discarded) - freed, 0) :]
        else:
            for _ in range(min(freed, len(discarded))):
                entry = discarded.popitem()[1]
                self._keys.cancel(entry, entry.due)
        if not discarded:
            self._discarded.pop()
        return freed

    def _reschedule(self, kept: MapChannel, now: float) -> None:
        if kept.due != math.inf:
            self._wheel.cancel(kept, kept.due)
        kept.due = self._wheel.schedule(kept, min(kept.expires_at, kept.forget_at), now)

    def _clear_stream(self, kept: MapChannel) -> None:
        kept.expires_at = math.inf
        removed = kept.clear()
        if len(removed) > _FREED_AT_ONCE:
            self._discarded.append(removed)
