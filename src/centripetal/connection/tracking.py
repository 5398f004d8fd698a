"""A subscription to a shared poll: the keys that a client tracks in a channel, and until when it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fanout.channel import Channel
from ..node.polls import PolledChannel, PolledKey
from .grant import Grant
from .subscription import Subscription

if TYPE_CHECKING:
    from .client import Client

KEYS_A_SUBSCRIPTION = 10
"""To end the tracking of so many keys costs as much as to end a subscription."""


class Tracking(Subscription):
    """A subscription to a shared poll; live from the reply on.

    Attributes:
        polled: the channel, None before it is live.
        held: what brings published values here, None where there are none.
        fossil: delta was negotiated.
        keys: those that are tracked, by name.
        expiries: Unix seconds at which signatures expire, by key; nothing for those that never do.
        first_expiry: at most the least of them, 0 for none.
    """

    __slots__ = ("expiries", "first_expiry", "fossil", "held", "keys", "polled")

    def __init__(self, grant: Grant, fossil: bool) -> None:
        super().__init__(grant)
        self.polled: PolledChannel | None = None
        self.held: Channel | None = None
        self.fossil = fossil
        self.keys: dict[str, PolledKey] = {}
        self.expiries: dict[str, int] = {}
        self.first_expiry = 0

    @property
    def live(self) -> bool:
        """Whether keys can be tracked."""
        return self.polled is not None

    @property
    def weight(self) -> int:
        """What it costs to end it; 1 for a subscription to a stream."""
        return 1 + len(self.keys) // KEYS_A_SUBSCRIPTION

    def track(self, client: Client, versions: dict[str, int], expiries: dict[str, int]) -> list[PolledKey]:
        """Tracks keys, or tracks them on.

        Args:
            client: whose subscription it is.
            versions: of the values that it has by key, 0 for none.
            expiries: Unix seconds by key, 0 for never.
        """
        assert self.polled is not None
        tracked = self.polled.track(client, self.fossil, versions)
        for key in tracked:
            name = key.name
            self.keys[name] = key
            expiry = expiries[name]
            if expiry:
                self.expiries[name] = expiry
                if not self.first_expiry or expiry < self.first_expiry:
                    self.first_expiry = expiry
            else:
                self.expiries.pop(name, None)
        return tracked

    def untrack(self, client: Client, names: list[str]) -> None:
        """Tracks keys no more; those that are not tracked are left out."""
        assert self.polled is not None
        gone = []
        for name in names:
            key = self.keys.pop(name, None)
            if key is not None:
                gone.append(key)
                self.expiries.pop(name, None)
        self.polled.untrack(client, self.fossil, gone)

    def forget(self, key: PolledKey) -> bool:
        """Takes out a key that is gone; returns False if it is not tracked, or a later one of this name is."""
        if self.keys.get(key.name) is not key:
            return False
        del self.keys[key.name]
        self.expiries.pop(key.name, None)
        return True

    def drop_expired(self, client: Client) -> None:
        """Tracks keys no more whose signature expired and was not renewed in time."""
        assert self.polled is not None
        limit = client.node.clock.time() - self.polled.rules.extra_delay_seconds
        if not self.first_expiry or self.first_expiry > limit:
            return
        self.untrack(client, [name for name, expiry in self.expiries.items() if expiry <= limit])
        self.first_expiry = min(self.expiries.values(), default=0)

    def end(self, client: Client) -> None:
        """Leaves the channel; the subscription is taken out of the connection by then."""
        polled, self.polled = self.polled, None
        assert polled is not None
        polled.untrack(client, self.fossil, self.keys.values())
        self.keys = {}
        polled.leave(client)
        node = client.node
        if self.held is not None:
            node.polls.release(self.held)
        node.counters.actions["remove_subscription"] += 1
        node.counters.subscriptions_inflight[client.labels[0]] -= 1


def tracking_of(client: Client, channel: str) -> Tracking | None:
    """Returns a client's live subscription to a shared poll."""
    subscription = client.subscriptions.get(channel)
    return subscription if isinstance(subscription, Tracking) and subscription.live else None


def trackings(client: Client) -> list[Tracking]:
    """Returns all of them."""
    return [each for each in client.subscriptions.values() if isinstance(each, Tracking) and each.live]


def lose_key(client: Client, channel: PolledChannel, key: PolledKey) -> bool:
    """A key is gone; returns whether the client tracked it."""
    tracking = tracking_of(client, channel.name)
    return tracking is not None and tracking.polled is channel and tracking.forget(key)


def next_expiry(client: Client) -> float:
    """Returns the monotonic time at which the first key is to be dropped, 0 for never."""
    clock = client.node.clock
    times = [
        each.first_expiry + each.polled.rules.extra_delay_seconds
        for each in trackings(client)
        if each.first_expiry and each.polled is not None
    ]
    return clock.monotonic() + min(times) - clock.time() if times else 0.0
