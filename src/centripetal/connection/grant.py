"""What is decided about a subscription when it is made."""

from __future__ import annotations

import msgspec

from ..interfaces import SubscriptionOverrides
from ..node.namespaces import MAP_TYPES
from ..node.settings import ChannelOptions


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
