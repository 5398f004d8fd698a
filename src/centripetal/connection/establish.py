"""The making of a subscription, atomic against live delivery.

Join first: from then on publications of the channel are put aside for the new subscriber. Read the stream. Merge what
was put aside. Answer. Go live: the rest of what was put aside is delivered, and the subscriber is in its group. There is
no wait between merging, answering and going live when a single subscription is made; several made together (connect) go
live only after the common reply, and get what came until then as pushes behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fanout.channel import Channel, Group
from ..fanout.tags_filter import FilterError, TagsFilter, compile_filter
from ..interfaces import BrokerError, PresenceError
from ..model import ClientError, Disconnect, Publication, StreamPosition
from ..model.errors import (
    DISCONNECT_CONNECTION_CLOSED,
    DISCONNECT_INSUFFICIENT_STATE,
    DISCONNECT_SERVER_ERROR,
    ERROR_BAD_REQUEST,
    ERROR_EXPIRED,
    forget_traceback,
)
from ..node.delivery import encode_publication
from ..node.positions import Position
from ..node.subscribers import refuse_encoding
from ..protocol.commands import SubscribeRequest
from ..protocol.results import PublicationEntry, SubscribeResult
from . import duties, map_presence
from .grant import Grant
from .recovery import PatchBases, Recovered, entries_of, extend_entries, merge_waiting, read_stream
from .state import CLOSED
from .subscription import JOIN_LEAVE, MIRRORED, PRESENCE, PUSH_JOIN_LEAVE, SERVER_SIDE, Subscription
from .unsubscribe import remove_presence_later

if TYPE_CHECKING:
    from .client import Client

FOSSIL = "fossil"
READS = 5
"""So often the stream is read for one subscription, while others change where the channel stands."""

WAITING_PUBLICATIONS = 10_000
"""So many publications are put aside for a subscriber that is on its way; more end the attempt."""


class Making:
    """A subscription on its way.

    Attributes:
        client, name, subscription: whose, where, what.
        result: for the reply, once made.
        delta: delta was negotiated.
        position: where the subscriber stands when it goes live; None when it is not positioned.
    """

    __slots__ = (
        "_held", "_waiting", "client", "delta", "grant", "last_offset", "name", "position", "request", "result", "subscription",
        "tags_filter",
    )  # fmt: skip

    def __init__(self, client: Client, name: str, request: SubscribeRequest, grant: Grant, flags: int = 0) -> None:
        """Reserves the channel for the client.

        Raises:
            ClientError: 110, the subscription has expired already; 107, the tags filter is not allowed or malformed.
        """
        self.client = client
        self.name = name
        self.request = request
        self.grant = grant
        self.tags_filter = tags_filter_of(request, grant) if not flags & SERVER_SIDE else None
        self.delta = request.delta == FOSSIL and FOSSIL in grant.delta_types
        self.position: StreamPosition | None = None
        self.last_offset = 0
        self.result = SubscribeResult()
        self._held: Position | None = None
        self._waiting: list[tuple[Publication, str]] | None = None
        if grant.expire_at and grant.expire_at <= client.node.clock.time():
            raise ERROR_EXPIRED
        reserved = client.subscriptions.get(name)
        self.subscription = reserved if reserved is not None else Subscription()
        self.subscription.flags |= flags
        self.subscription.apply(grant)
        client.subscriptions[name] = self.subscription

    async def make(self, *, buffer: bool = False) -> None:
        """Does everything up to the reply.

        Args:
            buffer: put publications aside even where the position is not followed, until go_live().

        Raises:
            ClientError, Disconnect: why it cannot be made; abandon() has been called.
        """
        try:
            await self._make(buffer)
        except (BrokerError, PresenceError) as error:
            self.abandon()
            raise DISCONNECT_SERVER_ERROR.fresh() from error
        except (ClientError, Disconnect) as failure:
            self.abandon()
            forget_traceback(failure)
            raise failure.fresh() from None
        except BaseException:
            self.abandon()
            raise

    async def _make(self, buffer: bool) -> None:
        client, grant, subscription = self.client, self.grant, self.subscription
        node = client.node
        channel = subscription.channel = await node.interest.hold(self.name)
        self._check_wanted()
        positioned = grant.positioned or grant.recoverable
        if positioned or buffer:
            self._waiting = channel.joining[client] = []
        if grant.presence:
            await node.add_presence(self.name, client.id, client.info_in(self.name))
            self._check_wanted()
        if positioned:
            found, entries = await self._read(channel)
            self.position = found.top
            self._held = node.positions.hold(channel, found.top, grant.history_meta_ttl_seconds)
        else:
            found, entries = await self._begin(channel)
        self.last_offset = found.last_offset
        self.result = self._result(found, entries)

    async def _begin(self, channel: Channel) -> tuple[Recovered, list[PublicationEntry]]:
        """Returns what a subscriber without position begins with: nothing."""
        return Recovered(StreamPosition()), []

    async def _read(self, channel: Channel) -> tuple[Recovered, list[PublicationEntry]]:
        """Reads the stream until the subscriber stands where the channel's positioned subscribers do.

        Another subscriber may have brought the channel further than what was read, or less far.
        """
        node, codec = self.client.node, self.client.encoding.codec
        for _ in range(READS):
            found = await self._find()
            self._check_wanted()
            await node.positions.reach(channel, found.top)
            self._check_wanted()
            bases = PatchBases()
            entries: list[PublicationEntry] = []
            if found.publications:
                shared = node.shared_entries.of(self.name, found.top.epoch, codec, self.delta)
                entries = await entries_of(codec, found.publications, self.delta, bases, shared)
                self._check_wanted()
            if not self._merge(found):
                continue
            if entries and found.publications[0].offset != entries[0].publication.offset:
                entries, bases = [], PatchBases()  # the cache mode keeps the newest one only
            extend_entries(entries, found.publications, self.delta, bases)
            if node.positions.agrees(channel, found.top):
                return found, entries
        raise DISCONNECT_INSUFFICIENT_STATE

    async def _find(self) -> Recovered:
        """Reads the stream once."""
        return await read_stream(self.client.node, self.name, self.request, self.grant, self.tags_filter)

    def _merge(self, found: Recovered) -> bool:
        waiting = self._waiting
        assert waiting is not None
        if len(waiting) > WAITING_PUBLICATIONS:
            raise DISCONNECT_INSUFFICIENT_STATE
        try:
            return merge_waiting(found, waiting, self.grant, self.delta, self.tags_filter)
        finally:
            waiting.clear()

    def _check_wanted(self) -> None:
        """While waiting, the client may have left or been unsubscribed."""
        client = self.client
        if client.state == CLOSED or client.subscriptions.get(self.name) is not self.subscription:
            raise DISCONNECT_CONNECTION_CLOSED if client.state == CLOSED else DISCONNECT_SERVER_ERROR

    def _result(self, found: Recovered, entries: list[PublicationEntry]) -> SubscribeResult:
        grant, request = self.grant, self.request
        positioned = grant.positioned or grant.recoverable
        ttl = int(grant.expire_at - self.client.node.clock.time()) if grant.expire_at else 0
        expires = bool(grant.expire_at) and grant.client_side_refresh
        return SubscribeResult(
            expires=expires,
            ttl=max(ttl, 1) if expires else 0,
            positioned=positioned,
            recoverable=grant.recoverable,
            epoch=found.top.epoch if positioned else "",
            offset=(request.offset if found.recovered else found.top.offset) if positioned else 0,
            publications=entries if found.recovered else [],
            recovered=found.recovered,
            was_recovering=request.recover or grant.auto_cache_recover,
            data=grant.data,
            delta=self.delta,
            publish_debounce=grant.publish_debounce_ms,
        )

    def go_live(self) -> None:
        """Delivers what came since, and puts the subscriber into the hub. The reply is written by now."""
        client, subscription = self.client, self.subscription
        channel = subscription.channel
        if channel is None or client.subscriptions.get(self.name) is not subscription or client.state == CLOSED:
            self.abandon()
            return
        node = client.node
        if not self._deliver_waiting() or not self._holds_position(channel):
            self.abandon()
            client.disconnect(DISCONNECT_INSUFFICIENT_STATE)
            return
        channel.joining.pop(client, None)
        subscription.group = self._enter(channel)
        node.hub.num_live += 1
        if subscription.flags & PUSH_JOIN_LEAVE:
            channel.watch(client, client.encoding)
        node.counters.actions["add_subscription"] += 1
        node.counters.subscriptions_accepted[client.labels[0]] += 1
        node.counters.subscriptions_inflight[client.labels[0]] += 1
        if subscription.flags & (PRESENCE | MIRRORED) or subscription.expire_at:
            duties.watch_subscriptions(client)
        self._settle()

    def _enter(self, channel: Channel) -> Group:
        return channel.add(
            self.client,
            self.client.encoding,
            fossil=self.delta,
            tags_filter=self.tags_filter,
            positioned=self._held is not None,
            base_offset=self.last_offset,
        )

    def _holds_position(self, channel: Channel) -> bool:
        """Whether the channel's positioned subscribers still stand where this one does."""
        if self._held is None or self.position is None:
            return True
        return channel.position is self._held and self._held.offset == self.position.offset

    def _deliver_waiting(self) -> bool:
        """Pushes what was put aside since the merge; returns False when there is a hole or another stream."""
        for publication, epoch in self._waiting or ():
            if self.position is not None and publication.offset:
                if epoch != self.position.epoch:
                    return False
                if publication.offset <= self.position.offset:
                    continue
                if publication.offset != self.position.offset + 1:
                    return False
                self.position = StreamPosition(publication.offset, self.position.epoch)
            if self.tags_filter is not None and not self.tags_filter.matches(publication.tags):
                self.last_offset = 0
                continue
            frame = encode_publication(self.client.encoding, self.name, publication, self.delta, None)
            if frame is None:
                refuse_encoding(self.client)
                return True
            self.client.node.flusher.put(self.client, frame)
            self.last_offset = publication.offset
        self._waiting = None
        return True

    async def announce(self) -> None:
        """Publishes the join and appears in presence maps, where the namespace wants that; after going live."""
        if self.subscription.flags & JOIN_LEAVE and self.subscription.live:
            try:
                await self.client.node.publish_join(self.name, self.client.info_in(self.name))
            except BrokerError:
                pass  # joins are not part of the stream; presence tells who is there
        mirrored = self.subscription.flags & MIRRORED and self.subscription.live
        if mirrored and not await map_presence.appear(self.client, self.name):
            remove_presence_later(self.client, self.name, MIRRORED)

    def abandon(self) -> None:
        """Undoes what was done."""
        client, subscription = self.client, self.subscription
        if client.subscriptions.get(self.name) is subscription:
            del client.subscriptions[self.name]
        subscription.close_feed()
        self._settle()
        channel = subscription.channel
        if channel is None:
            return
        subscription.channel = None
        if channel.joining.get(client) is self._waiting:
            channel.joining.pop(client, None)
        if self._held is not None:
            client.node.positions.release(channel, self._held)
        client.node.interest.release(channel)
        if self.grant.presence:
            remove_presence_later(client, self.name)

    def _settle(self) -> None:
        settled = self.subscription.settled
        self.subscription.settled = None
        if settled is not None and not settled.done():
            settled.set_result(None)


def tags_filter_of(request: SubscribeRequest, grant: Grant) -> TagsFilter | None:
    """Returns the tags filter of a request.

    Raises:
        ClientError: 107, it is not allowed or malformed.
    """
    if request.tf is None:
        return None
    if not grant.tags_filter:
        raise ERROR_BAD_REQUEST
    try:
        return compile_filter(request.tf)
    except FilterError:
        raise ERROR_BAD_REQUEST from None

