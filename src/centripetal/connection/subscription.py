"""One subscription of a connection, and what was decided about it when it was made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ..fanout.channel import Channel, Group
from ..interfaces import SubscriptionOverrides
from ..node.namespaces import MAP_TYPES
from ..node.settings import ChannelOptions

if TYPE_CHECKING:
    from .streams import Feed

SERVER_SIDE = 1
PRESENCE = 2
JOIN_LEAVE = 4
PUSH_JOIN_LEAVE = 8
POSITIONED = 16
CLIENT_SIDE_REFRESH = 32
FROM_CONNECTION_TOKEN = 64
BEING_REFRESHED = 128
MIRRORED = 256
REMOVES_CLIENT_KEY = 512
"""Bits of Subscription.flags."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription may do and be, as decided by whoever allowed it.

    Attributes:
        presence: the subscriber appears in presence.
        join_leave: its coming and going is published.
        push_join_leave: it gets joins and leaves.
        positioned, recoverable: its position is followed; it may recover.
        cache: recovery gives the latest publication only (`force_recovery_mode: cache`).
        auto_cache_recover: it is given without being asked for.
        history_meta_ttl_seconds: of the namespace.
        delta_types: delta types that may be negotiated.
        tags_filter: a tags filter may be given.
        expire_at: Unix seconds, 0 for never.
        info: channel info.
        data: goes into the reply.
        client_side_refresh: the client renews an expiring subscription.
        from_connection_token: the connection token asked for it.
        cache_empty_hook: name of the hook that is told of an empty cache; empty for none.
        publish_debounce_ms: so long the client holds back what it publishes, to send the latest only; 0 for not.
        mirrored: the subscriber appears in the namespace's presence maps.
        remove_client_key: the key of a map that is the connection's id goes with the subscription.
    """

    presence: bool = False
    join_leave: bool = False
    push_join_leave: bool = False
    positioned: bool = False
    recoverable: bool = False
    cache: bool = False
    auto_cache_recover: bool = False
    history_meta_ttl_seconds: float = 0.0
    delta_types: tuple[str, ...] = ()
    tags_filter: bool = False
    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    client_side_refresh: bool = True
    from_connection_token: bool = False
    cache_empty_hook: str = ""
    publish_debounce_ms: int = 0
    mirrored: bool = False
    remove_client_key: bool = False


def grant_of(options: ChannelOptions, history_meta_ttl_seconds: float, overrides: SubscriptionOverrides | None) -> Grant:
    """Returns what a namespace gives its subscriptions.

    Args:
        options: of the namespace.
        history_meta_ttl_seconds: effective one.
        overrides: options replaced by a token or an API call.
    """
    presence, join_leave, push = options.presence, options.join_leave, options.force_push_join_leave
    positioned, recoverable = options.force_positioning, options.force_recovery
    if overrides is not None:
        presence = presence if overrides.presence is None else overrides.presence
        join_leave = join_leave if overrides.join_leave is None else overrides.join_leave
        push = push if overrides.force_push_join_leave is None else overrides.force_push_join_leave
        positioned = positioned if overrides.force_positioning is None else overrides.force_positioning
        recoverable = recoverable if overrides.force_recovery is None else overrides.force_recovery
    cache = options.force_recovery_mode == "cache"
    return Grant(
        presence=presence,
        join_leave=join_leave,
        push_join_leave=push,
        positioned=positioned,
        recoverable=recoverable,
        cache=cache,
        auto_cache_recover=options.auto_cache_recover and recoverable and cache,
        history_meta_ttl_seconds=history_meta_ttl_seconds,
        # Deltas of a map build on its state, which only those have who read it.
        delta_types=() if options.subscription_type in MAP_TYPES else tuple(options.allowed_delta_types),
        tags_filter=options.allow_tags_filter,
        client_side_refresh=not options.sub_refresh_proxy_enabled,
        publish_debounce_ms=int(options.client_publish_debounce_interval * 1000),
        cache_empty_hook=options.cache_empty_proxy_name if options.cache_empty_proxy_enabled else "",
    )


class Subscription:
    """A subscription of one connection; in the hub once it is live.

    Attributes:
        channel: the hub's channel, None until the broker delivers to it.
        group: where it is in the hub, None until it is live.
        flags: SERVER_SIDE, PRESENCE, …
        info: channel info.
        expire_at: Unix seconds, 0 for never.
        feed: the application's stream that feeds it, if there is one.
        settled: done when it is live or has failed, for those who have to wait for that.
    """

    __slots__ = ("channel", "expire_at", "feed", "flags", "group", "info", "settled")

    def __init__(self, grant: Grant | None = None, flags: int = 0) -> None:
        self.channel: Channel | None = None
        self.group: Group | None = None
        self.flags = flags
        self.info = b""
        self.expire_at = 0
        self.feed: Feed | None = None
        self.settled: asyncio.Future[None] | None = None
        if grant is not None:
            self.apply(grant)

    def apply(self, grant: Grant) -> None:
        """Takes over what was decided."""
        self.info = grant.info
        self.expire_at = grant.expire_at
        self.flags |= (
            (PRESENCE if grant.presence else 0)
            | (JOIN_LEAVE if grant.join_leave else 0)
            | (PUSH_JOIN_LEAVE if grant.push_join_leave else 0)
            | (POSITIONED if grant.positioned or grant.recoverable else 0)
            | (CLIENT_SIDE_REFRESH if grant.client_side_refresh else 0)
            | (FROM_CONNECTION_TOKEN if grant.from_connection_token else 0)
            | (MIRRORED if grant.mirrored else 0)
            | (REMOVES_CLIENT_KEY if grant.remove_client_key else 0)
        )

    @property
    def live(self) -> bool:
        """Whether it gets publications."""
        return self.group is not None

    @property
    def weight(self) -> int:
        """What it costs to end it."""
        return 1

    def close_feed(self) -> None:
        """Ends the stream that feeds it, if there is one."""
        feed, self.feed = self.feed, None
        if feed is not None:
            feed.cancel()

    async def wait_settled(self) -> None:
        """Waits until a subscription on its way is live or has failed."""
        if not self.live:
            if self.settled is None:
                self.settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(self.settled)
