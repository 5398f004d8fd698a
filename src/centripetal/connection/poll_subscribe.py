"""The command `subscribe` for shared polls: it only opens the channel; what is tracked in it comes by `sub_refresh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..interfaces import BrokerError, PresenceError
from ..model import ClientError
from ..model.errors import (
    DISCONNECT_CONNECTION_CLOSED,
    DISCONNECT_SERVER_ERROR,
    ERROR_BAD_REQUEST,
    ERROR_EXPIRED,
    ERROR_INTERNAL,
    ERROR_NOT_AVAILABLE,
    forget_traceback,
)
from ..node.polls import PolledChannel
from ..node.settings import SharedPollOptions
from ..protocol.commands import SubscribeRequest
from ..protocol.results import SubscribeResult
from . import duties, map_presence
from .establish import FOSSIL
from .grant import Grant
from .state import CLOSED
from .subscribe import SHARED_POLL, authorize, release, reserve
from .subscription import MIRRORED, PRESENCE
from .tracking import Tracking
from .unsubscribe import remove_presence_later

if TYPE_CHECKING:
    from .client import Client

SHARED_POLL_TYPE = "shared_poll"
"""Value of a namespace's `subscription_type`."""


def is_polled(client: Client, channel: str) -> bool:
    """Whether a channel is one of shared polls; in an unknown namespace none is."""
    try:
        options = client.node.namespaces.options_of(channel)
    except ClientError as error:
        forget_traceback(error)
        return False
    return options.subscription_type == SHARED_POLL_TYPE


async def subscribe_poll(client: Client, request: SubscribeRequest, command_id: int) -> None:
    """Handles the command `subscribe` with the type of a shared poll.

    Raises:
        ClientError: 108, it is no channel of shared polls, or nobody is there to ask; 103, 105, 106, 107, 109, 110.
        Disconnect: 3500; 3004, the engine failed.
    """
    channel, node = request.channel, client.node
    if not is_polled(client, channel):
        raise ERROR_NOT_AVAILABLE
    options = node.namespaces.options_of(channel).shared_poll
    reserve(client, channel)
    try:
        grant = _without_stream(await authorize(client, request))
        reserved = client.subscriptions[channel]
        if reserved.feed is not None:
            raise ERROR_BAD_REQUEST  # the application's stream has no keys
        if grant.expire_at and grant.expire_at <= node.clock.time():
            raise ERROR_EXPIRED
        if node.polls.find_hook(options.proxy_name) is None:
            raise ERROR_NOT_AVAILABLE
        tracking = Tracking(grant, request.delta == FOSSIL and FOSSIL in grant.delta_types)
        tracking.settled = reserved.settled
        client.subscriptions[channel] = tracking
        polled = await _open(client, channel, tracking, options)
    except (BrokerError, PresenceError) as error:
        release(client, channel)
        raise DISCONNECT_SERVER_ERROR.fresh() from error
    except BaseException:
        release(client, channel)
        raise
    client.reply(command_id, "subscribe", _result(client, grant, tracking, polled))
    await _go_live(client, channel, tracking, polled)


def _without_stream(grant: Grant) -> Grant:
    return msgspec.structs.replace(
        grant, positioned=False, recoverable=False, join_leave=False, push_join_leave=False, remove_client_key=False
    )


async def _open(client: Client, channel: str, tracking: Tracking, options: SharedPollOptions) -> PolledChannel:
    """Joins the channel; everything is undone if that fails or the client does not want it any more."""
    node = client.node
    polled = await node.polls.open(channel, options)
    polled.join(client)
    try:
        tracking.held = await node.polls.hold(polled)
        _check_wanted(client, channel, tracking)
        if tracking.flags & PRESENCE:
            await node.add_presence(channel, client.id, client.info_in(channel))
            _check_wanted(client, channel, tracking)
        if client not in polled.subscribers:
            raise ERROR_INTERNAL  # another epoch began meanwhile; the client may try again
    except BaseException:
        polled.leave(client)
        if tracking.held is not None:
            node.polls.release(tracking.held)
        if tracking.flags & PRESENCE:
            remove_presence_later(client, channel)
        raise
    return polled


def _check_wanted(client: Client, channel: str, tracking: Tracking) -> None:
    """While waiting, the client may have left or been unsubscribed."""
    if client.state == CLOSED:
        raise DISCONNECT_CONNECTION_CLOSED
    if client.subscriptions.get(channel) is not tracking:
        raise DISCONNECT_SERVER_ERROR


def _result(client: Client, grant: Grant, tracking: Tracking, polled: PolledChannel) -> SubscribeResult:
    expires = bool(grant.expire_at) and grant.client_side_refresh
    return SubscribeResult(
        type=SHARED_POLL,
        epoch=polled.epoch,
        expires=expires,
        ttl=max(int(grant.expire_at - client.node.clock.time()), 1) if expires else 0,
        data=grant.data,
        delta=tracking.fossil,
    )


async def _go_live(client: Client, channel: str, tracking: Tracking, polled: PolledChannel) -> None:
    tracking.polled = polled
    counters = client.node.counters
    counters.actions["add_subscription"] += 1
    counters.subscriptions_accepted[client.labels[0]] += 1
    counters.subscriptions_inflight[client.labels[0]] += 1
    if tracking.settled is not None and not tracking.settled.done():
        tracking.settled.set_result(None)
    tracking.settled = None
    if client.state == CLOSED:  # the reply could not be encoded
        return
    if tracking.flags & (PRESENCE | MIRRORED) or tracking.expire_at:
        duties.watch_subscriptions(client)
    if tracking.flags & MIRRORED and not await map_presence.appear(client, channel):
        remove_presence_later(client, channel, MIRRORED)
