"""The broker of a single node: streams in this process, publications handed to the node in the same call."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...fanout.stream import Stream, make_epoch
from ...interfaces import BrokerEvents, Clock, HistoryFilter, PublishOptions, PublishResult
from ...model import ClientInfo, Publication, StreamPosition
from .expiry import ExpiryWheel, Occupancy, Sweeper
from .handover import OrderedHandover, refuse_unbound
from .idempotency import IdempotentResults

_NO_POSITION = StreamPosition()
# Freeing a longer history would hold the loop: the sweep does it bit by bit.
_FREED_AT_ONCE = 1000
_NOT_STORED = PublishResult(_NO_POSITION)


class StoredStream(Stream[Publication]):
    """A channel's stream with its deadlines, in monotonic seconds.

    Attributes:
        channel: its name.
        expires_at: when the publications go; infinite when there are none.
        forget_at: when offset and epoch go too; infinite for never.
        due: when the sweep looks at it; infinite for never.
    """

    __slots__ = ("channel", "due", "expires_at", "forget_at")

    def __init__(self, channel: str) -> None:
        super().__init__(make_epoch())
        self.channel = channel
        self.expires_at = math.inf
        self.forget_at = math.inf
        self.due = math.inf


class MemoryBroker(OrderedHandover):
    """Keeps streams in memory and distributes within the process; implements `interfaces.ImmediateBroker`.

    No coroutine of it ever suspends. The history TTL belongs to the stream as a whole and is renewed by each publish.
    """

    def __init__(self, clock: Clock, *, history_meta_ttl_seconds: float) -> None:
        """Takes where time comes from.

        Args:
            clock: only its monotonic time is read.
            history_meta_ttl_seconds: how long offset and epoch outlive the last publish or read, where the publish or
                read does not say; 0 for ever (`channel.history_meta_ttl`).
        """
        super().__init__()
        self._monotonic = clock.monotonic
        self._meta_ttl_seconds = history_meta_ttl_seconds
        self._streams: dict[str, StoredStream] = {}
        self._occupancy = Occupancy()
        self._wheel: ExpiryWheel[StoredStream] = ExpiryWheel()
        self._results = IdempotentResults()
        self._discarded: list[list[Publication]] = []
        self._sweeper = Sweeper(self.sweep)
        self._on_publication: Callable[..., None] = refuse_unbound
        self._on_join: Callable[..., None] = refuse_unbound
        self._on_leave: Callable[..., None] = refuse_unbound

    def bind(self, events: BrokerEvents) -> None:
        """Tells where publications go. Called once, before start()."""
        self._on_publication = events.on_publication
        self._on_join = events.on_join
        self._on_leave = events.on_leave

    async def start(self) -> None:
        """Starts the sweep of expired streams on the running loop."""
        self._sweeper.start()

    async def stop(self) -> None:
        """Ends the sweep."""
        self._sweeper.stop()

    async def subscribe(self, channel: str) -> None:
        """Nothing to do: every publication goes to this node."""

    async def unsubscribe(self, channel: str) -> None:
        """Nothing to do: every publication goes to this node."""

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Does begin_publish()."""
        return self.begin_publish(channel, data, options)

    def begin_publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Stores as the options say and hands the publication to the node.

        When the node itself publishes while it handles a publication, the new one is handed over after that.

        Returns:
            The position; suppressed with the reason when a key or version says so.
        """
        key = options.idempotency_key
        if key:
            known = self._results.get(channel, key, self._monotonic())
            if known is not None:
                return PublishResult(known, True, "idempotency")
        size, ttl, version = options.history_size, options.history_ttl_seconds, options.version
        if size <= 0 or ttl <= 0:
            publication = Publication(data, 0, options.info, options.tags, "", version)
            if key:
                self._keep_result(channel, options, _NO_POSITION)
            self._hand_over(self._on_publication, channel, publication, _NO_POSITION, options.use_delta, None)
            return _NOT_STORED
        now = self._monotonic()
        stream = self._open(channel, options.history_meta_ttl_seconds, now)
        if version > 0 and not stream.admits(version, options.version_epoch):
            return PublishResult(StreamPosition(stream.top, stream.epoch), True, "version")
        previous = stream.last() if options.use_delta else None
        offset = stream.top + 1
        publication = Publication(data, offset, options.info, options.tags, "", version)
        stream.append(publication, size)
        # A publication without version resets the stored one, so that any version may follow.
        stream.version = version
        stream.version_epoch = options.version_epoch if version > 0 else ""
        stream.expires_at = expires_at = now + ttl
        if stream.due > expires_at + ttl / 8.0 + 1.0:
            self._reschedule(stream, now)
        position = StreamPosition(offset, stream.epoch)
        if key:
            self._keep_result(channel, options, position)
        if offset == 1:
            # Only live, not in history: the reference does so, and clients learn the new epoch from it.
            publication = Publication(data, 1, options.info, options.tags, stream.epoch, version)
        self._hand_over(self._on_publication, channel, publication, position, options.use_delta, previous)
        return PublishResult(position)

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Hands a join to the node."""
        self._hand_over(self._on_join, channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Hands a leave to the node."""
        self._hand_over(self._on_leave, channel, info)

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns publications and the stream's top; makes an epoch where there is none yet.

        The epoch in `wanted.since` is not compared: the caller has the stream's epoch then and can do so.
        """
        stream = self._open(channel, history_meta_ttl_seconds, self._monotonic())
        position = StreamPosition(stream.top, stream.epoch)
        if wanted.limit == 0:
            return [], position
        since = wanted.since
        if wanted.reverse:
            return stream.before(stream.top + 1 if since is None else since.offset, wanted.limit), position
        return stream.after(0 if since is None else since.offset, wanted.limit), position

    async def remove_history(self, channel: str) -> None:
        """Removes the publications; offset and epoch go on."""
        stream = self._streams.get(channel)
        if stream is not None:
            self._clear(stream)

    def sweep(self, budget: int) -> bool:
        """Frees what has expired, in a bounded step; the timer that start() starts calls it.

        Args:
            budget: units of work, about a microsecond each: streams, idempotency keys or publications.

        Returns:
            Whether more is left to do.
        """
        now = self._monotonic()
        self._occupancy.note(len(self._streams))
        while budget > 0:
            stream = self._wheel.pop(now)
            if stream is None:
                break
            budget -= 1
            stream.due = math.inf
            if stream.forget_at <= now:
                del self._streams[stream.channel]
                budget -= self._clear(stream)
                continue
            if stream.expires_at <= now:
                budget -= self._clear(stream)
            self._reschedule(stream, now)
        while self._discarded and budget > 0:
            publications = self._discarded[-1]
            freed = min(len(publications), budget)
            del publications[len(publications) - freed:]
            budget -= max(freed, 1)
            if not publications:
                self._discarded.pop()
        budget = self._results.sweep(budget, now)
        if self._occupancy.is_sparse(len(self._streams)):
            self._streams = dict(self._streams)
        return budget <= 0

    def _open(self, channel: str, meta_ttl_seconds: float, now: float) -> StoredStream:
        """Returns a channel's stream as of now, a new one when there is none, and renews its life."""
        stream = self._streams.get(channel)
        if stream is not None and stream.forget_at <= now:
            self._wheel.cancel(stream, stream.due)
            self._clear(stream)
            stream = None
        if stream is None:
            self._streams[channel] = stream = StoredStream(channel)
        elif stream.expires_at <= now:
            self._clear(stream)
        meta_ttl = meta_ttl_seconds or self._meta_ttl_seconds
        if meta_ttl > 0:
            stream.forget_at = forget_at = now + meta_ttl
            if stream.due > forget_at + meta_ttl / 8.0 + 1.0:
                self._reschedule(stream, now)
        else:
            stream.forget_at = math.inf
        return stream

    def _reschedule(self, stream: StoredStream, now: float) -> None:
        if stream.due != math.inf:
            self._wheel.cancel(stream, stream.due)
        stream.due = self._wheel.schedule(stream, min(stream.expires_at, stream.forget_at), now)

    def _clear(self, stream: StoredStream) -> int:
        """Removes the publications; returns how many are freed with it."""
        stream.expires_at = math.inf
        removed = stream.clear()
        if len(removed) <= _FREED_AT_ONCE:
            return len(removed)
        self._discarded.append(removed)
        return 0

    def _keep_result(self, channel: str, options: PublishOptions, position: StreamPosition) -> None:
        ttl = options.idempotent_result_ttl_seconds
        self._results.put(channel, options.idempotency_key, position, self._monotonic(), ttl)
