"""One map in memory: its keys in order, the stream of its changes, and how long they live."""

from __future__ import annotations

import math
from typing import Any

from ...fanout.sorted_items import SortedItems
from ...fanout.stream import Stream, make_epoch
from ...interfaces import MapRetention, StateFilter
from ...model import Publication

_UNUSED_SECONDS = 600.0
"""A map without keys and changes, or without keys and a stream, is forgotten when nobody asks for so long."""


class Entry:
    """A key of a map.

    Attributes:
        channel: its map.
        publication: the value, with key and offset.
        expires_at: monotonic seconds; infinite for never.
        due: when the sweep looks at it; infinite for never.
        version, version_epoch: of the value.
    """

    __slots__ = ("channel", "due", "expires_at", "publication", "version", "version_epoch")

    def __init__(self, channel: MapChannel, publication: Publication) -> None:
        self.channel = channel
        self.publication = publication
        self.expires_at = math.inf
        self.due = math.inf
        self.version = 0
        self.version_epoch = ""


class MapChannel(Stream[Publication]):
    """A map. Its stream has no items where the namespace wants none, and always an epoch.

    Attributes:
        name: the channel.
        entries: by key.
        retention: as given with the last call.
        expires_at: monotonic seconds at which the stream's items go; infinite when there are none.
        forget_at: when offset and epoch go too, if there are no keys; infinite for never.
        due: when the sweep looks at it; infinite for never.
    """

    __slots__ = ("_order", "due", "entries", "expires_at", "forget_at", "name", "retention")

    def __init__(self, name: str, retention: MapRetention) -> None:
        super().__init__(make_epoch())
        self.name = name
        self.retention = retention
        self.entries: dict[str, Entry] = {}
        self._order: SortedItems[Any] = SortedItems()
        self.expires_at = math.inf
        self.forget_at = math.inf
        self.due = math.inf

    def renew(self, retention: MapRetention, now: float) -> None:
        """Somebody asks for the map: it lives on.

        Args:
            retention: of the namespace as it is now.
            now: monotonic seconds.
        """
        if retention is not self.retention:
            if retention.ordered != self.retention.ordered:
                self._sort_anew(retention.ordered)
            self.retention = retention
        if retention.meta_ttl_seconds > 0:
            self.forget_at = now + retention.meta_ttl_seconds
        elif retention.stream_size > 0 and self.top:
            self.forget_at = math.inf  # its position is for ever (`persistent`)
        else:
            self.forget_at = now + max(_UNUSED_SECONDS, retention.key_ttl_seconds)

    def put(self, publication: Publication) -> Entry:
        """Writes a key; returns its entry."""
        key = publication.key
        entry = self.entries.get(key)
        if entry is None:
            self.entries[key] = entry = Entry(self, publication)
            self._order.add(self._place_of(publication))
            return entry
        if self.retention.ordered and entry.publication.score != publication.score:
            self._order.remove(self._place_of(entry.publication))
            self._order.add(self._place_of(publication))
        entry.publication = publication
        return entry

    def drop(self, entry: Entry) -> None:
        """Takes a key out."""
        del self.entries[entry.publication.key]
        self._order.remove(self._place_of(entry.publication))

    def page(self, wanted: StateFilter) -> tuple[list[Entry], str]:
        """Returns the entries of a page, and the cursor of the next one, empty after the last."""
        limit = wanted.limit
        reverse = self.retention.ordered and not wanted.asc
        after = self._place_at(wanted.cursor) if wanted.cursor else None
        more = limit + 1 if limit > 0 else -1
        places = self._order.before(after, more) if reverse else self._order.after(after, more)
        cursor = ""
        if 0 < limit < len(places):
            del places[limit:]
            cursor = self._cursor_at(places[-1])
        entries = self.entries
        if self.retention.ordered:
            return [entries[key] for _, key in places], cursor
        return [entries[key] for key in places], cursor

    def _place_of(self, publication: Publication) -> Any:
        return (publication.score, publication.key) if self.retention.ordered else publication.key

    def _place_at(self, cursor: str) -> Any:
        if not self.retention.ordered:
            return cursor
        score, _, key = cursor.partition("\0")
        try:
            return int(score[:20]), key
        except ValueError:
            return 0, key

    def _cursor_at(self, place: Any) -> str:
        return f"{place[0]}\0{place[1]}" if self.retention.ordered else str(place)

    def _sort_anew(self, ordered: bool) -> None:
        """The namespace orders its maps in another way now."""
        self._order = SortedItems()
        for entry in self.entries.values():
            publication = entry.publication
            self._order.add((publication.score, publication.key) if ordered else publication.key)
