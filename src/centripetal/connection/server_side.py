"""What the server does to a connection without being asked by it: subscriptions, their end, a new expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..interfaces import BrokerError
from ..model import Disconnect
from ..model.errors import (
    DISCONNECT_CHANNEL_LIMIT,
    DISCONNECT_EXPIRED,
    DISCONNECT_INSUFFICIENT_STATE,
    ERROR_ALREADY_SUBSCRIBED,
    UNSUBSCRIBE_INSUFFICIENT_STATE,
    UNSUBSCRIBE_SERVER,
    forget_traceback,
)
from ..node.control import SubscribeUser
from ..node.polls import PolledChannel
from ..protocol.commands import SubscribeRequest
from ..protocol.results import RefreshPush, SubscribeResult
from ..protocol.results import Subscribe as SubscribePush
from . import duties
from .establish import Making
from .grant import grant_of
from .state import ACCEPTED, CLOSED, CONNECTED
from .subscription import SERVER_SIDE
from .tracking import tracking_of
from .unsubscribe import end, push_unsubscribe, unsubscribe_quietly

if TYPE_CHECKING:
    from .client import Client

MAX_TTL_SECONDS = 365 * 24 * 3600
"""An expiry further away counts as this far away."""


async def subscribe(client: Client, order: SubscribeUser) -> None:
    """Adds a server-side subscription; the push that tells of it has no recovered publications (wire name `Subscribe`).

    Raises:
        ClientError: 102, 105 or 110.
        BrokerError: the engine failed.
    """
    await client.wait_answered()
    if client.state != CONNECTED:
        return
    node, channel = client.node, order.channel
    options = node.namespaces.options_of(channel)
    limit = node.client.channel_limit
    if 0 < limit <= len(client.subscriptions):
        client.disconnect(DISCONNECT_CHANNEL_LIMIT)
        return
    if channel in client.subscriptions:
        raise ERROR_ALREADY_SUBSCRIBED
    grant = msgspec.structs.replace(
        grant_of(options, node.history_meta_ttl_seconds(options), order.overrides),
        expire_at=order.expire_at,
        info=order.info,
        data=order.data,
        delta_types=(),
        tags_filter=False,
        auto_cache_recover=False,
    )
    request, since = SubscribeRequest(channel=channel), order.recover_since
    if since is not None:
        request = SubscribeRequest(channel=channel, recover=True, offset=since.offset, epoch=since.epoch)
    making = Making(client, channel, request, grant, SERVER_SIDE)
    try:
        await making.make()
    except Disconnect as failure:
        cause = failure.__cause__
        forget_traceback(failure)
        if client.state == CLOSED:
            return  # it left meanwhile
        raise BrokerError("the subscription cannot be made") from cause
    push_subscribe(client, channel, making.result)
    making.go_live()
    await making.announce()


def push_subscribe(client: Client, channel: str, result: SubscribeResult) -> None:
    """Tells the client of a server-side subscription."""
    client.push(
        "subscribe",
        channel,
        SubscribePush(
            recoverable=result.recoverable,
            positioned=result.positioned,
            epoch=result.epoch,
            offset=result.offset,
            data=result.data,
        ),
    )


async def unsubscribe(client: Client, channel: str) -> None:
    """Ends a subscription, all with an empty channel. One that is not there is told to the client all the same."""
    await client.wait_answered()
    if client.state == CLOSED:
        return
    for name in [channel] if channel else list(client.subscriptions):
        await end(client, name)
        push_unsubscribe(client, name, UNSUBSCRIBE_SERVER)


def refresh(client: Client, expired: bool, expire_at: int, info: bytes | None) -> None:
    """Gives the connection a new expiry, or none, and tells the client; an expired one is ended with 3005."""
    if client.state not in (ACCEPTED, CONNECTED):
        return
    now = client.node.clock.time()
    expire_at = min(expire_at, int(now) + MAX_TTL_SECONDS)
    ttl = int(expire_at - now)
    if expired or (expire_at > 0 and ttl <= 0):
        client.disconnect(DISCONNECT_EXPIRED)
        return
    client.expire_at = max(expire_at, 0)
    if info and expire_at > 0:
        client.info = info
    duties.set_expiry(client)
    if client.state == CONNECTED:  # otherwise the reply of connect tells it
        client.push("refresh", "", RefreshPush(expires=expire_at > 0, ttl=ttl if expire_at > 0 else 0))


def lose_position(client: Client, channel: str) -> None:
    """Ends a positioned subscription whose continuity is lost (2500, or 3010 for a server-side one)."""
    subscription = client.subscriptions.get(channel)
    if subscription is None or subscription.group is None or not subscription.group.lost:
        return  # it ended meanwhile, and may have been made anew
    if subscription.flags & SERVER_SIDE:
        client.disconnect(DISCONNECT_INSUFFICIENT_STATE)
    else:
        unsubscribe_quietly(client, channel, UNSUBSCRIBE_INSUFFICIENT_STATE)


def lose_poll(client: Client, channel: PolledChannel) -> None:
    """Ends a subscription to a shared poll of which nothing holds any more (2500)."""
    tracking = tracking_of(client, channel.name)
    if tracking is not None and tracking.polled is channel and client not in channel.subscribers:
        unsubscribe_quietly(client, channel.name, UNSUBSCRIBE_INSUFFICIENT_STATE)
