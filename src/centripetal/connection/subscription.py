"""One subscription of a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..fanout.channel import Channel, Group
from .grant import Grant

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
