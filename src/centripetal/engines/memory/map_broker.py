"""The map broker of a single node: maps in this process, changes handed to the node in the same call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...interfaces import (
    BrokerError,
    Clock,
    HistoryFilter,
    MapBrokerEvents,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    StateFilter,
    StatePage,
)
from ...model import Publication, StreamPosition
from .expiry import Sweeper
from .handover import OrderedHandover, refuse_unbound
from .idempotency import IdempotentResults
from .map_channel import Entry, MapChannel
from .map_store import MapStore

_EXPIRY_COST = 10
"""Units of work that the removal of an expired key counts as: it is stored and distributed."""


class MemoryMapBroker(OrderedHandover):
    """Keeps maps in memory and distributes within the process; implements `interfaces.MapBroker` and `MapSweep`.

    No coroutine of it ever suspends. A key whose lifetime is over is gone for every reader and writer at that moment,
    and its subscribers are told then or by the next sweep.

    Attributes:
        store: the maps.
        keys_expired, sweep_errors: counted since the start.
    """

    def __init__(self, clock: Clock) -> None:
        """Args: clock: where time comes from."""
        super().__init__()
        self._clock = clock
        self._monotonic = clock.monotonic
        self.store = MapStore()
        self._results = IdempotentResults()
        self._sweeper = Sweeper(self.sweep)
        self._on_publication: Callable[..., None] = refuse_unbound
        self._on_state_lost: Callable[..., None] = refuse_unbound
        self.keys_expired = 0
        self.sweep_errors = 0

    def bind(self, events: MapBrokerEvents) -> None:
        """Tells where changes go. Called once, before start()."""
        self._on_publication = events.on_publication
        self._on_state_lost = events.on_state_lost

    async def start(self) -> None:
        """Starts the sweep of expired keys and maps on the running loop."""
        self._sweeper.start()

    async def stop(self) -> None:
        """Ends the sweep."""
        self._sweeper.stop()

    async def subscribe(self, channel: str) -> None:
        """Nothing to do: every change goes to this node."""

    async def unsubscribe(self, channel: str) -> None:
        """Nothing to do: every change goes to this node."""

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        """Writes a key and hands the change to the node; see MapBroker.publish().

        Raises:
            BrokerError: a version or an expected position for a map without a stream.
        """
        retention = options.retention
        if retention.stream_size <= 0 and (options.version or options.expected_position is not None):
            raise BrokerError("versions and expected positions need a map with a stream")
        now = self._monotonic()
        kept = self.store.open(channel, retention, now)
        known = self._known_result(kept, options, now)
        if known is not None:
            return known
        entry = self._entry(kept, key, now)
        refused = _refusal(kept, entry, options)
        if refused is not None:
            if entry is not None and options.refresh_ttl_on_suppress and refused.reason == "key_exists":
                self.store.set_lifetime(entry, now)
            return refused
        previous = entry.publication if options.use_delta and entry is not None else None
        offset = kept.top + 1 if retention.stream_size > 0 else 0
        publication = Publication(
            data, offset, options.info, options.tags, "", 0, int(self._clock.time() * 1000), "", key, False, options.score
        )
        self._append(kept, publication, now)
        entry = kept.put(publication)
        if options.version:
            entry.version, entry.version_epoch = options.version, options.version_epoch
        self.store.set_lifetime(entry, now)
        position = StreamPosition(offset, kept.epoch)
        self._keep_result(kept, options, position, now)
        self._distribute(kept, publication, position, options.use_delta, previous)
        return MapResult(position)

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        """Removes a key and hands the removal to the node; see MapBroker.remove().

        Raises:
            BrokerError: an expected position for a map without a stream.
        """
        retention, expected = options.retention, options.expected_position
        if retention.stream_size <= 0 and expected is not None:
            raise BrokerError("expected positions need a map with a stream")
        now = self._monotonic()
        if channel not in self.store.maps:
            reason = "key_not_found" if expected is None else "position_mismatch"
            return MapResult(StreamPosition(), True, reason)
        kept = self.store.open(channel, retention, now)
        known = self._known_result(kept, options, now)
        if known is not None:
            return known
        entry = self._entry(kept, key, now)
        if expected is not None and not _stands_at(kept, entry, expected):
            return _mismatch(kept, entry)
        if entry is None:
            return MapResult(StreamPosition(kept.top, kept.epoch), True, "key_not_found")
        position = self._remove(kept, entry, now, options.tags)
        self._keep_result(kept, options, position, now)
        return MapResult(position)

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        """Returns a page of the state; makes an epoch where there is none yet."""
        now = self._monotonic()
        kept = self.store.open(channel, retention, now)
        if wanted.key:
            entry = self._entry(kept, wanted.key, now)
            found = [] if entry is None else [entry.publication]
            return StatePage(found, StreamPosition(kept.top, kept.epoch), "")
        if wanted.limit == 0:
            return StatePage([], StreamPosition(kept.top, kept.epoch), "")
        entries, cursor = kept.page(wanted)
        while expired := [entry for entry in entries if entry.expires_at <= now]:
            for entry in expired:
                self._expire(entry, now)
            entries, cursor = kept.page(wanted)
        return StatePage([entry.publication for entry in entries], StreamPosition(kept.top, kept.epoch), cursor)

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns changes and the stream's top; makes an epoch where there is none yet."""
        kept = self.store.open(channel, retention, self._monotonic())
        position = StreamPosition(kept.top, kept.epoch)
        if wanted.limit == 0:
            return [], position
        since = wanted.since
        if wanted.reverse:
            return kept.before(kept.top + 1 if since is None else since.offset, wanted.limit), position
        return kept.after(0 if since is None else since.offset, wanted.limit), position

    async def count_keys(self, channel: str) -> int:
        """Returns how many keys there are; a key that expired less than a moment ago may still count."""
        kept = self.store.maps.get(channel)
        return 0 if kept is None else len(kept.entries)

    async def clear(self, channel: str) -> None:
        """Drops state and stream, and what is known of idempotency keys; what comes next has another epoch."""
        kept = self.store.maps.get(channel)
        if kept is not None:
            self.store.forget(kept)
            self._hand_over(self._on_state_lost, channel)

    def expiry_lag_seconds(self) -> float:
        """Returns for how long the oldest key that should be gone has been there."""
        return self.store.expiry_lag_seconds(self._monotonic())

    def sweep(self, budget: int) -> bool:
        """Removes what has expired, in a bounded step; the timer that start() starts calls it.

        Args:
            budget: units of work, about a microsecond each.

        Returns:
            Whether more is left to do.
        """
        now = self._monotonic()
        try:
            budget = self._sweep_keys(budget, now)
        except Exception:
            self.sweep_errors += 1
            raise
        budget = self.store.sweep(budget, now)
        budget = self._results.sweep(budget, now)
        return budget <= 0

    def _sweep_keys(self, budget: int, now: float) -> int:
        while budget > 0:
            entry = self.store.pop_key(now)
            if entry is None:
                break
            budget -= 1
            if entry.expires_at <= now:
                self._expire(entry, now)
                budget -= _EXPIRY_COST
            else:
                self.store.schedule(entry, now)  # it was renewed, which costs nothing until now
        return budget

    def _entry(self, kept: MapChannel, key: str, now: float) -> Entry | None:
        """Returns a key's entry, removing it if its lifetime is over."""
        entry = kept.entries.get(key)
        if entry is not None and entry.expires_at <= now:
            self._expire(entry, now)
            return None
        return entry

    def _expire(self, entry: Entry, now: float) -> None:
        kept = entry.channel
        if kept.entries.get(entry.publication.key) is not entry:
            return  # its map was cleared, and it waits to be freed
        self.keys_expired += 1
        kept.renew(kept.retention, now)  # those who recover must find the removal
        self._remove(kept, entry, now, None)

    def _remove(self, kept: MapChannel, entry: Entry, now: float, tags: dict[str, str] | None) -> StreamPosition:
        self.store.drop(entry)
        offset = kept.top + 1 if kept.retention.stream_size > 0 else 0
        if tags is None:
            tags = entry.publication.tags
        time_ms = int(self._clock.time() * 1000)
        removal = Publication(b"", offset, None, tags, "", 0, time_ms, "", entry.publication.key, True)
        self._append(kept, removal, now)
        position = StreamPosition(offset, kept.epoch)
        self._distribute(kept, removal, position, False, None)
        return position

    def _append(self, kept: MapChannel, publication: Publication, now: float) -> None:
        retention = kept.retention
        if retention.stream_size <= 0:
            return
        kept.append(publication, retention.stream_size)
        kept.expires_at = now + retention.stream_ttl_seconds if retention.stream_ttl_seconds > 0 else math.inf
        if kept.top == 1:
            kept.renew(retention, now)
        self.store.watch(kept, min(kept.expires_at, kept.forget_at), now)

    def _distribute(
        self,
        kept: MapChannel,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        if publication.offset == 1:
            # Only live, not in the stream: clients learn the epoch of a map that was empty from it.
            publication = _with_epoch(publication, kept.epoch)
        self._hand_over(self._on_publication, kept.name, publication, position, use_delta, previous)

    def _known_result(
        self, kept: MapChannel, options: MapPublishOptions | MapRemoveOptions, now: float
    ) -> MapResult | None:
        if not options.idempotency_key:
            return None
        known = self._results.get(kept.epoch + kept.name, options.idempotency_key, now)
        return None if known is None else MapResult(known, True, "idempotency")

    def _keep_result(
        self, kept: MapChannel, options: MapPublishOptions | MapRemoveOptions, position: StreamPosition, now: float
    ) -> None:
        if options.idempotency_key:
            ttl = options.idempotent_result_ttl_seconds
            self._results.put(kept.epoch + kept.name, options.idempotency_key, position, now, ttl)


def _refusal(kept: MapChannel, entry: Entry | None, options: MapPublishOptions) -> MapResult | None:
    """Returns why a write is suppressed, None when it is not."""
    position = StreamPosition(kept.top, kept.epoch)
    if options.version and entry is not None:
        comparable = options.version_epoch in ("", entry.version_epoch)
        if comparable and options.version <= entry.version:
            return MapResult(position, True, "version")
    if options.key_mode == "if_new" and entry is not None:
        return MapResult(position, True, "key_exists")
    if options.key_mode == "if_exists" and entry is None:
        return MapResult(position, True, "key_not_found")
    expected = options.expected_position
    if expected is not None and not _stands_at(kept, entry, expected):
        return _mismatch(kept, entry)
    return None


def _stands_at(kept: MapChannel, entry: Entry | None, expected: StreamPosition) -> bool:
    return entry is not None and entry.publication.offset == expected.offset and kept.epoch == expected.epoch


def _mismatch(kept: MapChannel, entry: Entry | None) -> MapResult:
    current = None if entry is None else entry.publication
    return MapResult(StreamPosition(kept.top, kept.epoch), True, "position_mismatch", current)


def _with_epoch(publication: Publication, epoch: str) -> Publication:
    fields: dict[str, Any] = {name: getattr(publication, name) for name in Publication.__struct_fields__}
    return Publication(**{**fields, "epoch": epoch})
