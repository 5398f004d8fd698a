"""All that the memory engine keeps, as records that another process can take up.

Deadlines go as seconds from now, since the clocks of two processes have nothing in common. Nothing may change while the
records are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ...interfaces import MapRetention
from ...model import ClientInfo, Publication, StreamPosition
from .broker import MemoryBroker, StoredStream
from .idempotency import IdempotentResults
from .map_broker import MemoryMapBroker
from .map_channel import MapChannel
from .presence import MemoryPresenceManager

RECORD_ITEMS = 256
"""A record holds at most so many publications, keys, entries or results."""

RECORD_BYTES = 1 << 20
"""... and no more once their data have so many bytes."""

T = TypeVar("T")


class StreamHead(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A stream of the broker without its publications, which follow."""

    channel: str
    epoch: str
    top: int
    version: int
    version_epoch: str
    expires_in_seconds: float
    forget_in_seconds: float


class StreamItems(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Publications of a stream, oldest first."""

    channel: str
    publications: list[Publication]


class PresenceItems(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Entries in the order of their deadlines: channel, connection id, info, seconds left."""

    entries: list[tuple[str, str, ClientInfo, float]]


class ResultItems(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Results by idempotency key, of the broker or the map broker: identity (text, or else bytes), position, seconds left."""

    of_maps: bool
    results: list[tuple[str, bytes, StreamPosition, float]]


class MapHead(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A map without its changes and keys, which follow."""

    channel: str
    retention: MapRetention
    epoch: str
    top: int
    expires_in_seconds: float
    forget_in_seconds: float


class MapChanges(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Changes in a map's stream, oldest first."""

    channel: str
    publications: list[Publication]


class MapKeys(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Keys of a map: value, seconds left, version, version epoch."""

    channel: str
    keys: list[tuple[Publication, float, int, str]]


Record = StreamHead | StreamItems | PresenceItems | ResultItems | MapHead | MapChanges | MapKeys


@dataclass(frozen=True, slots=True)
class MemoryEngine:
    """The parts of the memory engine.

    Attributes:
        broker, presence, map_broker: its parts, on one clock.
    """

    broker: MemoryBroker
    presence: MemoryPresenceManager
    map_broker: MemoryMapBroker

    def records(self) -> Iterator[Record]:
        """Yields all that is kept. Their sweeps must be stopped."""
        now = self.broker._monotonic()
        for stream in self.broker._streams.values():
            yield StreamHead(
                stream.channel, stream.epoch, stream.top, stream.version, stream.version_epoch,
                stream.expires_at - now, stream.forget_at - now,
            )  # fmt: skip
            for publications in _portions(stream.after(0), _data_bytes):
                yield StreamItems(stream.channel, publications)
        for of_maps, results in ((False, self.broker._results), (True, self.map_broker._results)):
            for kept_results in _portions(results.items(now)):
                yield ResultItems(of_maps, kept_results)
        entries = self.presence._by_deadline
        for held in _portions((entry.channel, entry.client, entry.info, entry.expires_at - now) for entry in entries):
            yield PresenceItems(held)
        for kept in self.map_broker.store.maps.values():
            yield MapHead(
                kept.name, kept.retention, kept.epoch, kept.top, kept.expires_at - now, kept.forget_at - now
            )
            for changes in _portions(kept.after(0), _data_bytes):
                yield MapChanges(kept.name, changes)
            keys = (
                (entry.publication, entry.expires_at - now, entry.version, entry.version_epoch)
                for entry in kept.entries.values()
            )
            for portion in _portions(keys, lambda key: len(key[0].data)):
                yield MapKeys(kept.name, portion)

    def restore(self, record: Record) -> None:
        """Takes up a record. They must come in the order of records(), into an engine that is empty."""
        now = self.broker._monotonic()
        match record:
            case StreamHead():
                self._restore_stream(record, now)
            case StreamItems():
                self.broker._streams[record.channel].load(record.publications)
            case PresenceItems():
                for channel, client, info, seconds in record.entries:
                    self.presence.restore(channel, client, info, now + seconds)
            case ResultItems():
                results: IdempotentResults = (self.map_broker if record.of_maps else self.broker)._results
                for text, digest, position, seconds in record.results:
                    results.restore(text or digest, position, now, seconds)
            case MapHead():
                self._restore_map(record, now)
            case MapChanges():
                self.map_broker.store.maps[record.channel].load(record.publications)
            case MapKeys():
                self._restore_keys(record, now)

    def _restore_stream(self, head: StreamHead, now: float) -> None:
        stream = StoredStream(head.channel)
        stream.epoch, stream.top = head.epoch, head.top
        stream.version, stream.version_epoch = head.version, head.version_epoch
        stream.expires_at = now + head.expires_in_seconds
        stream.forget_at = now + head.forget_in_seconds
        self.broker._streams[head.channel] = stream
        self.broker._reschedule(stream, now)

    def _restore_map(self, head: MapHead, now: float) -> None:
        kept = MapChannel(head.channel, head.retention)
        kept.epoch, kept.top = head.epoch, head.top
        kept.expires_at = now + head.expires_in_seconds
        kept.forget_at = now + head.forget_in_seconds
        self.map_broker.store.restore(kept, now)

    def _restore_keys(self, record: MapKeys, now: float) -> None:
        kept = self.map_broker.store.maps[record.channel]
        for publication, seconds, version, version_epoch in record.keys:
            entry = kept.put(publication)
            entry.version, entry.version_epoch = version, version_epoch
            entry.expires_at = now + seconds
            self.map_broker.store.schedule(entry, now)


def in_batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yields records together, so that a batch has about as much to carry as the largest record."""
    return _portions(records, _record_bytes)


def _record_bytes(record: Record) -> int:
    match record:
        case StreamItems() | MapChanges():
            return sum(map(_data_bytes, record.publications))
        case MapKeys():
            return sum(_data_bytes(key[0]) for key in record.keys)
    return 0


def _data_bytes(publication: Publication) -> int:
    return len(publication.data)


def _portions(items: Iterable[T], weigh: Callable[[T], int] = lambda item: 0) -> Iterator[list[T]]:
    portion: list[T] = []
    size = 0
    for item in items:
        portion.append(item)
        size += weigh(item)
        if len(portion) >= RECORD_ITEMS or size >= RECORD_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
