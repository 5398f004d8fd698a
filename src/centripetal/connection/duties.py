"""What a connection has to do later: pings, expiry, presence renewal, staleness, a peer that does not read.

Each connection is on the node's wheel once, at the time of its next duty.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..interfaces import PresenceError
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_EXPIRED,
    DISCONNECT_NO_PONG,
    DISCONNECT_SLOW,
    DISCONNECT_STALE,
    DISCONNECT_WRITE_ERROR,
)
from . import map_presence, renewal, tracking
from .paging import Paging
from .state import CLOSED
from .subscription import BEING_REFRESHED, MIRRORED, PRESENCE, Subscription
from .unsubscribe import remove_presence_later, run_in_background

if TYPE_CHECKING:
    from .client import Client

RENEWAL_SECONDS = 5.0
"""Presence that may have been lost is renewed within this time, by all connections together."""


class Due:
    """Monotonic times of duties, 0 for none.

    Attributes:
        ping: the next ping.
        pong: when the answer must have come.
        presence: the next renewal of presence and look at expiring subscriptions.
        expiry: when the connection ends unless it is refreshed.
        stale: when connect must have succeeded.
        writing: when a paused peer must have taken something.
        paging: when the first of the map subscriptions on their way must be live.
        keys: when the first key of a shared poll is to be dropped, since its signature was not renewed.
    """

    __slots__ = ("expiry", "keys", "paging", "ping", "pong", "presence", "stale", "writing")

    def __init__(self) -> None:
        self.ping = self.pong = self.presence = self.expiry = self.stale = self.writing = self.paging = self.keys = 0.0

    def earliest(self) -> float:
        """Returns the time of the next duty, 0 for none."""
        earliest = self.ping
        for at in (self.pong, self.presence, self.expiry, self.stale, self.writing, self.paging, self.keys):
            if at and (at < earliest or not earliest):
                earliest = at
        return earliest


def reschedule(client: Client) -> None:
    """Puts a connection on the wheel at its next duty."""
    earliest = client.due.earliest()
    if earliest:
        client.node.ticker.schedule(client, earliest)
    else:
        client.node.ticker.cancel(client)


def await_connect(client: Client) -> None:
    """A new connection must connect within `client.stale_close_delay`."""
    delay = client.node.client.stale_close_delay
    if delay > 0:
        client.due.stale = stale = client.node.clock.monotonic() + delay
        client.node.ticker.schedule(client, stale)  # it has no other duty yet


def renew_presence_soon(client: Client) -> None:
    """Brings the next renewal of presence forward to a random moment of the next seconds."""
    if client.due.presence:
        soon = client.node.clock.monotonic() + random.uniform(0.0, RENEWAL_SECONDS)
        client.due.presence = min(client.due.presence, soon)
        reschedule(client)


def begin(client: Client) -> None:
    """A connection is authenticated: pings, presence renewal and expiry start."""
    now = client.node.clock.monotonic()
    due = client.due
    due.stale = 0.0
    interval = client.transport.ping_interval_seconds
    if interval > 0:
        due.ping = now + random.uniform(interval / 2, interval)
    if client.expire_at > 0:
        due.expiry = expiry_of(client)
    if client.subscriptions:
        watch_subscriptions(client)
    reschedule(client)


def expiry_of(client: Client) -> float:
    """Returns the monotonic time at which the connection ends, with the grace of a client-side refresh; 0 for never."""
    if client.expire_at <= 0:
        return 0.0
    clock = client.node.clock
    grace = client.node.client.expired_close_delay if client.client_side_refresh else 0.0
    return clock.monotonic() + client.expire_at - clock.time() + grace


def set_expiry(client: Client) -> None:
    """Has the connection end at its expiry."""
    client.due.expiry = expiry_of(client)
    reschedule(client)


def watch_subscriptions(client: Client) -> None:
    """Starts the periodic look at subscriptions, if one needs it and there is none yet."""
    due = client.due
    if not due.presence and needs_renewal(client):
        interval = client.node.client.presence_update_interval
        if interval > 0:
            due.presence = client.node.clock.monotonic() + random.uniform(interval / 2, interval)
            reschedule(client)


def needs_renewal(client: Client) -> bool:
    """Whether a subscription has presence to renew or may expire."""
    return any(
        subscription.flags & (PRESENCE | MIRRORED) or subscription.expire_at for subscription in client.subscriptions.values()
    )


def watch_paging(client: Client, deadline: float) -> None:
    """A map subscription on its way must be live by then."""
    due = client.due
    if not due.paging or deadline < due.paging:
        due.paging = deadline
        reschedule(client)


def next_paging(client: Client) -> float:
    """Returns by when the first of the map subscriptions on their way must be live, 0 if there is none."""
    deadlines = [each.deadline for each in client.subscriptions.values() if isinstance(each, Paging) and each.deadline]
    return min(deadlines, default=0.0)


def watch_keys(client: Client) -> None:
    """Has keys dropped when their signatures are too old."""
    due = client.due
    keys = tracking.next_expiry(client)
    if keys != due.keys:
        due.keys = keys
        reschedule(client)


def drop_keys(client: Client) -> None:
    """Drops the keys whose time has come."""
    for each in tracking.trackings(client):
        each.drop_expired(client)
    client.due.keys = tracking.next_expiry(client)


def watch_writing(client: Client) -> None:
    """The peer does not keep up: it must take something within the time of a write."""
    seconds = client.transport.write_timeout_seconds
    if seconds > 0:
        client.due.writing = client.node.clock.monotonic() + seconds
        reschedule(client)


def unwatch_writing(client: Client) -> None:
    """The peer keeps up again."""
    if client.due.writing:
        client.due.writing = 0.0
        reschedule(client)


def take_pong(client: Client) -> None:
    """A pong came; one that nobody asked for is a bad request."""
    if not client.ping_sent_at:
        client.disconnect(DISCONNECT_BAD_REQUEST)
        return
    elapsed = client.node.clock.monotonic() - client.ping_sent_at
    client.node.counters.ping_pong_duration[client.transport.name].observe(elapsed)
    client.ping_sent_at = 0.0
    client.due.pong = 0.0
    reschedule(client)  # rather than being called in vain when the pong would have been due


def perform(client: Client, now: float) -> None:
    """Does what is due and schedules the rest."""
    due = client.due
    if 0 < due.stale <= now:
        client.disconnect(DISCONNECT_STALE)
    elif 0 < due.pong <= now:
        client.disconnect(DISCONNECT_NO_PONG)
    elif 0 < due.expiry <= now:
        if client.client_side_refresh:
            client.disconnect(DISCONNECT_EXPIRED)
        else:
            due.expiry = 0.0
            client.accompany(renewal.refresh_connection(client))
            if client.state != CLOSED:
                reschedule(client)
    elif 0 < due.writing <= now and not keeps_up(client):
        client.disconnect(DISCONNECT_WRITE_ERROR)
        client.transport.abort()
    elif 0 < due.paging <= now and 0 < next_paging(client) <= now:
        client.disconnect(DISCONNECT_SLOW)
    else:
        if 0 < due.paging <= now:
            due.paging = next_paging(client)
        if 0 < due.keys <= now:
            drop_keys(client)
        if 0 < due.ping <= now:
            send_ping(client, now)
        if 0 < due.presence <= now:
            due.presence = 0.0
            run_in_background(renew_subscriptions(client, now))
        if 0 < due.writing <= now:
            watch_writing(client)
        if client.state != CLOSED:
            reschedule(client)


def keeps_up(client: Client) -> bool:
    """Whether a paused peer took anything lately."""
    return client.writing_progress() > 0


def send_ping(client: Client, now: float) -> None:
    """Sends a ping; a bidirectional client must answer within the pong timeout."""
    transport = client.transport
    client.due.ping = now + transport.ping_interval_seconds
    if transport.frame_ping_pong:
        transport.send_native_ping()
    else:
        client.send(client.encoding.codec.ping, "server_ping")
    client.ping_sent_at = now
    if transport.pong_timeout_seconds > 0 and not client.encoding.unidirectional:
        client.due.pong = now + transport.pong_timeout_seconds


async def renew_subscriptions(client: Client, now: float) -> None:
    """Renews presence, and ends subscriptions that expired and were not refreshed."""
    node = client.node
    limit = node.clock.time() - node.client.expired_sub_close_delay
    client.due.presence = now + node.client.presence_update_interval if needs_renewal(client) else 0.0
    for channel, subscription in list(client.subscriptions.items()):
        if client.state == CLOSED:
            return
        if not subscription.live or client.subscriptions.get(channel) is not subscription:
            continue
        if subscription.expire_at and subscription.expire_at < limit:
            if subscription.flags & BEING_REFRESHED:
                continue
            if renewal.may_refresh(client, channel, subscription):
                client.accompany(renewal.refresh_subscription(client, channel, subscription))
            else:
                renewal.expire_subscription(client, channel, subscription)
            continue
        if subscription.flags & PRESENCE:
            await renew_presence(client, channel, subscription)
        mirrored = subscription.flags & MIRRORED and subscription.live
        if mirrored and not await map_presence.appear(client, channel):
            remove_presence_later(client, channel, MIRRORED)


async def renew_presence(client: Client, channel: str, subscription: Subscription) -> None:
    """Renews one entry; should the subscription end meanwhile, the entry is taken back."""
    try:
        await client.node.add_presence(channel, client.id, client.info_in(channel))
        current = client.subscriptions.get(channel)
        if current is not subscription and (current is None or not current.flags & PRESENCE):
            await client.node.remove_presence(channel, client.id)
    except PresenceError:
        return  # the next renewal comes before the entry expires

