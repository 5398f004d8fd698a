"""The command `subscribe`: who may subscribe to what, and the making of a client-side subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..interfaces import SubscriptionClaims, TokenExpired, TokenInvalid
from ..model.errors import (
    DISCONNECT_INVALID_TOKEN,
    ERROR_ALREADY_SUBSCRIBED,
    ERROR_BAD_REQUEST,
    ERROR_LIMIT_EXCEEDED,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
)
from ..node.settings import ChannelOptions
from ..protocol.commands import SubscribeRequest
from . import streams
from .establish import Making
from .grant import Grant, grant_of
from .hooks import ask_to_subscribe, granted
from .permissions import check_name, may_read_history, may_read_presence
from .subscription import Subscription

if TYPE_CHECKING:
    from .client import Client

STREAM, MAP, MAP_CLIENTS, MAP_USERS, SHARED_POLL = range(5)
"""Values of the subscribe request's `type`."""

TYPES = {
    "": STREAM,
    "stream": STREAM,
    "map": MAP,
    "map_clients": MAP_CLIENTS,
    "map_users": MAP_USERS,
    "shared_poll": SHARED_POLL,
}
"""The type that a namespace's channels need, by `subscription_type`."""


async def subscribe(client: Client, request: SubscribeRequest, command_id: int) -> None:
    """Handles the command `subscribe` with the type of a stream; see subscribe_by_type().

    Raises:
        ClientError: it is refused.
        Disconnect: 3500, the token is for somebody or something else; 3004, the engine failed.
    """
    channel = request.channel
    reserve(client, channel)
    try:
        grant = await authorize(client, request)
        making = Making(client, channel, request, grant)
    except BaseException:
        release(client, channel)
        raise
    await making.make()
    client.reply(command_id, "subscribe", making.result)
    making.go_live()
    streams.follow(client, channel, making.subscription)
    await making.announce()


def reserve(client: Client, channel: str) -> None:
    """Takes a place for a channel, so that there is one subscription of it and at most `client.channel_limit` in all.

    Raises:
        ClientError: 107, name too long; 105, already subscribed; 106, too many channels.
    """
    max_length = client.node.namespaces.settings.max_length
    if max_length > 0 and len(channel.encode()) > max_length:
        raise ERROR_BAD_REQUEST
    if channel in client.subscriptions:
        raise ERROR_ALREADY_SUBSCRIBED
    limit = client.node.client.channel_limit
    if 0 < limit <= len(client.subscriptions):
        raise ERROR_LIMIT_EXCEEDED
    client.subscriptions[channel] = Subscription()


def release(client: Client, channel: str) -> None:
    """Gives the place back."""
    subscription = client.subscriptions.get(channel)
    if subscription is not None and not subscription.live:
        del client.subscriptions[channel]
        subscription.close_feed()
        if subscription.settled is not None and not subscription.settled.done():
            subscription.settled.set_result(None)


async def authorize(client: Client, request: SubscribeRequest) -> Grant:
    """Decides whether a client may subscribe, and to what extent.

    The order: a private channel needs a token; then the token decides; then a user-limited name that lists the user;
    then the namespace's hook or stream, if it has one; then `allow_subscribe_for_*`, both except for user-limited names; then `client.insecure`.

    Raises:
        ClientError: 102, 103, 107, 108, 109, or the application's.
        Disconnect: 3500, or the application's.
        HookError: the application cannot be asked.
    """
    channel, node = request.channel, client.node
    options = check_name(client, channel)
    if request.type != TYPES.get(options.subscription_type):
        raise ERROR_PERMISSION_DENIED
    namespaces = node.namespaces
    if namespaces.is_private(channel) and not request.token:
        raise ERROR_PERMISSION_DENIED
    limited = options.allow_user_limited_channels and namespaces.is_user_limited(channel)
    grant = grant_of(options, node.history_meta_ttl_seconds(options), None)
    if request.token:
        claims = await verify(client, request)
        grant = msgspec.structs.replace(
            grant_of(options, grant.history_meta_ttl_seconds, claims.overrides),
            expire_at=claims.expire_at,
            info=claims.info,
            data=claims.data,
        )
    elif limited and namespaces.lists_user(channel, client.user):
        pass
    elif options.subscribe_proxy_enabled and not limited:
        return granted(options, grant.history_meta_ttl_seconds, await ask_to_subscribe(client, request, options))
    elif options.subscribe_stream_proxy_enabled and not limited:
        return await streams.open_feed(client, request, options)
    elif not (may_subscribe(client, options) and not limited) and not node.client.insecure:
        raise ERROR_PERMISSION_DENIED
    if not request.token and (options.map_clients_presence_channel_prefix or options.map_users_presence_channel_prefix):
        grant = msgspec.structs.replace(grant, mirrored=True)
    return with_wishes(client, request, options, grant)


def may_subscribe(client: Client, options: ChannelOptions) -> bool:
    """Whether the namespace's `allow_subscribe_*` options let the client in."""
    return options.allow_subscribe_for_client and (bool(client.user) or options.allow_subscribe_for_anonymous)


async def verify(client: Client, request: SubscribeRequest) -> SubscriptionClaims:
    """Returns the claims of a subscription token that is for this client and channel.

    Raises:
        ClientError: 103, invalid; 109, expired.
        Disconnect: 3500, for another channel, user or client.
    """
    tokens = client.node.tokens
    if tokens is None:
        raise ERROR_PERMISSION_DENIED
    try:
        claims = await tokens.verify_subscription(request.token)
    except TokenExpired:
        raise ERROR_TOKEN_EXPIRED from None
    except TokenInvalid:
        raise ERROR_PERMISSION_DENIED from None
    if claims.channel != request.channel or claims.user != client.user or claims.client not in ("", client.id):
        raise DISCONNECT_INVALID_TOKEN
    return claims


def with_wishes(client: Client, request: SubscribeRequest, options: ChannelOptions, grant: Grant) -> Grant:
    """Adds what the client itself wishes and may have: `positioned`, `recoverable`, `join_leave`."""
    if not (request.positioned or request.recoverable or request.join_leave):
        return grant
    channel = request.channel
    history = may_read_history(client, channel, options, subscribed=True)
    positioned = grant.positioned or (request.positioned and (options.allow_positioning or history))
    recoverable = grant.recoverable or (request.recoverable and (options.allow_recovery or history))
    push_join_leave = grant.push_join_leave or (
        request.join_leave and options.join_leave and may_read_presence(client, channel, options, subscribed=True)
    )
    return msgspec.structs.replace(
        grant,
        positioned=positioned,
        recoverable=recoverable,
        push_join_leave=push_join_leave,
        auto_cache_recover=options.auto_cache_recover and recoverable and grant.cache,
    )
