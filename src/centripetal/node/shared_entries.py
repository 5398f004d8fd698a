"""Encoded publications of streams, for those who read the same part of a stream soon after each other.

When a server or a network comes back, thousands of clients recover the same publications of the same channels within
seconds. What one of them was given, encoded, serves the others, whichever engine it was read from. All of it is forgotten
every few seconds, and earlier when there is much of it.
"""

from __future__ import annotations

from typing import Any

MAX_BYTES = 8 << 20
"""So much may be kept."""

LIFETIME_SECONDS = 5

_BYTES_A_STREAM, _BYTES_AN_ENTRY = 500, 300  # that it takes besides payload and encoded form

Key = int | tuple[int, int]
"""Offset of a publication, with that of the one its patch builds on."""


class StreamEntries:
    """Entries of one stream in one form.

    Attributes:
        known: by offset, or by (offset, offset of the publication that the patch builds on).
    """

    __slots__ = ("_owner", "known")

    def __init__(self, owner: SharedEntries) -> None:
        self._owner = owner
        self.known: dict[Key, Any] = {}

    def keep(self, key: Key, entry: Any, size: int) -> None:
        """Keeps an entry, for a while; `size` is that of its payload and encoded form in bytes."""
        self.known[key] = entry
        self._owner.count(size + _BYTES_AN_ENTRY)


class SharedEntries:
    """The entries of all streams."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str, Any, bool], StreamEntries] = {}
        self._bytes = 0
        self._seconds = 0

    def of(self, channel: str, epoch: str, codec: Any, fossil: bool) -> StreamEntries:
        """Returns the entries of a stream.

        Args:
            channel: its name.
            epoch: its incarnation, within which an offset means one publication for ever.
            codec: that encodes them.
            fossil: in the form for subscribers that negotiated delta.
        """
        key = (channel, epoch, codec, fossil)
        entries = self._streams.get(key)
        if entries is None:
            entries = self._streams[key] = StreamEntries(self)
            self.count(_BYTES_A_STREAM)
        return entries

    def count(self, size: int) -> None:
        """Counts bytes that are kept; when they are too many, all are forgotten."""
        self._bytes += size
        if self._bytes > MAX_BYTES:
            self._forget()

    def every_second(self) -> None:
        """Forgets everything when its time has come."""
        self._seconds += 1
        if self._seconds >= LIFETIME_SECONDS:
            self._forget()

    def _forget(self) -> None:
        self._streams = {}
        self._bytes = self._seconds = 0
