"""The end of subscriptions: asked for by the client, by the server, or with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from ..interfaces import BrokerError, PresenceError
from ..model import ClientError, ClientInfo, Unsubscribe
from ..model.errors import DISCONNECT_BAD_REQUEST, forget_traceback
from ..node.eager import run_eagerly
from ..protocol.commands import UnsubscribeRequest
from ..protocol.results import Unsubscribe as UnsubscribePush
from ..protocol.results import UnsubscribeResult
from . import map_presence
from .paging import Paging
from .state import CLOSED
from .subscription import (
    JOIN_LEAVE,
    MIRRORED,
    POSITIONED,
    PRESENCE,
    PUSH_JOIN_LEAVE,
    REMOVES_CLIENT_KEY,
    Subscription,
)
from .tracking import Tracking

if TYPE_CHECKING:
    from .client import Client

RETIRING = PRESENCE | JOIN_LEAVE | MIRRORED | REMOVES_CLIENT_KEY
"""Flags of subscriptions that leave something behind which has to be taken back."""

SUBSCRIPTIONS_A_SLICE = 200
"""So many subscriptions of a connection that is gone are ended in one go: about two milliseconds."""

_background: set[asyncio.Task[None]] = set()
"""Ends that wait for a remote engine, kept until they are done."""


async def unsubscribe(client: Client, request: UnsubscribeRequest, command_id: int) -> None:
    """Handles the command `unsubscribe`; a channel without subscription is answered like one with.

    Raises:
        Disconnect: 3501, no channel given.
    """
    if not request.channel:
        raise DISCONNECT_BAD_REQUEST
    await end(client, request.channel)
    client.reply(command_id, "unsubscribe", UnsubscribeResult())


def detach(client: Client, channel: str) -> Subscription | None:
    """Takes a subscription out of the connection and the hub, at once; returns it if it was live."""
    subscription = client.subscriptions.pop(channel, None)
    if subscription is not None:
        subscription.close_feed()
    if isinstance(subscription, Paging):
        subscription.abandon(client)
        return None
    if isinstance(subscription, Tracking):
        if not subscription.live:
            return None
        subscription.end(client)
        return subscription
    if subscription is None or subscription.group is None or subscription.channel is None:
        return None
    entry, group = subscription.channel, subscription.group
    entry.remove(client, group)
    client.node.hub.num_live -= 1
    subscription.group = None
    subscription.channel = None
    if subscription.flags & PUSH_JOIN_LEAVE:
        entry.unwatch(client, client.encoding)
    if subscription.flags & POSITIONED and not group.lost:
        client.node.positions.release(entry)
    client.node.interest.release(entry)
    client.node.counters.actions["remove_subscription"] += 1
    client.node.counters.subscriptions_inflight[client.labels[0]] -= 1
    return subscription


async def end(client: Client, channel: str) -> None:
    """Ends a subscription, if there is one: presence entry, leave, hub. One on its way is waited for."""
    while (subscription := client.subscriptions.get(channel)) is not None and not subscription.live:
        if isinstance(subscription, Paging) and not subscription.busy:
            subscription.abandon(client)
            return
        await subscription.wait_settled()
    if subscription is None:
        return
    if subscription.flags & REMOVES_CLIENT_KEY:  # while it is there, since the client gets the removal, too
        subscription.flags &= ~REMOVES_CLIENT_KEY
        retiring = run_in_background(retire(client, channel, Subscription(None, REMOVES_CLIENT_KEY), ClientInfo()))
        if retiring is not None:
            await asyncio.shield(retiring)
        if client.subscriptions.get(channel) is not subscription:
            return
    info = client.info_in(channel)
    detach(client, channel)
    retiring = run_in_background(retire(client, channel, subscription, info))
    if retiring is not None:
        await asyncio.shield(retiring)  # others must learn of it even if this client leaves now


async def retire(client: Client, channel: str, subscription: Subscription, info: ClientInfo) -> None:
    """Takes back what a subscription, which is detached already, left behind: presence, keys of maps; and says leave."""
    failures: list[Exception] = []
    if subscription.flags & PRESENCE:
        try:
            await client.node.remove_presence(channel, client.id)
        except PresenceError as error:
            failures.append(error)
    for flag, undo in _MAP_DUTIES:
        if subscription.flags & flag:
            try:
                await undo(client, channel)
            except (BrokerError, ClientError) as error:
                forget_traceback(error)
                failures.append(error)
    if subscription.flags & JOIN_LEAVE:
        try:
            await client.node.publish_leave(channel, info)
        except BrokerError as error:
            failures.append(error)
    for failure in failures:
        structlog.get_logger("centripetal.connection").warning(
            "unsubscribe_incomplete", channel=channel, client=client.id, error=str(failure)
        )


_MAP_DUTIES = ((MIRRORED, map_presence.disappear), (REMOVES_CLIENT_KEY, map_presence.remove_key))


async def end_subscriptions(client: Client) -> None:
    """Ends all subscriptions of a connection that is gone, in slices."""
    ended = []
    weight = 0
    for channel in list(client.subscriptions):
        info = client.info_in(channel)
        reserved = client.subscriptions.get(channel)
        weight += 0 if reserved is None else reserved.weight
        subscription = detach(client, channel)
        if subscription is not None and subscription.flags & RETIRING:
            ended.append((channel, subscription, info))
        if weight >= SUBSCRIPTIONS_A_SLICE:
            weight = 0
            await asyncio.sleep(0)
    for number, (channel, subscription, info) in enumerate(ended, 1):
        await retire(client, channel, subscription, info)
        if number % SUBSCRIPTIONS_A_SLICE == 0:
            await asyncio.sleep(0)


def unsubscribe_quietly(client: Client, channel: str, reason: Unsubscribe) -> None:
    """Ends a subscription by the server's will and tells the client, without waiting for the engine."""
    info = client.info_in(channel)
    subscription = detach(client, channel)
    if subscription is None:
        return
    run_in_background(retire(client, channel, subscription, info))
    push_unsubscribe(client, channel, reason)


def push_unsubscribe(client: Client, channel: str, reason: Unsubscribe) -> None:
    """Tells the client that the server ended a subscription."""
    if client.state != CLOSED:
        client.node.counters.server_unsubscribes[reason.code] += 1
        client.push("unsubscribe", channel, UnsubscribePush(code=reason.code, reason=reason.reason))


def remove_presence_later(client: Client, channel: str, flags: int = PRESENCE) -> None:
    """Takes back the presence of a subscription that was not made, or has ended."""
    subscription = Subscription(flags=flags)
    run_in_background(retire(client, channel, subscription, client.info_in(channel)))


def run_in_background(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Runs a coroutine that handles its own failures; returns the task that goes on with it if it has to wait."""
    _, task = run_eagerly(coroutine)
    if task is not None:
        _background.add(task)
        task.add_done_callback(_background.discard)
    return task
