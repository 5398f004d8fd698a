"""What a presence manager provides: who is subscribed to a channel."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..model import ClientInfo


class PresenceStats(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many are in a channel.

    Attributes:
        num_clients: connections.
        num_users: distinct user ids.
    """

    num_clients: int = 0
    num_users: int = 0


class PresenceManager(Protocol):
    """Keeps the connections subscribed to each channel, each entry until it expires unrenewed.

    A method raises PresenceError when it cannot do its work. Coroutines of an in-memory one never suspend.
    """

    async def start(self) -> None:
        """Connects and starts its background work."""

    async def stop(self) -> None:
        """Ends background work and closes connections."""

    async def add(self, channel: str, client: str, info: ClientInfo) -> None:
        """Adds or renews an entry."""

    async def remove(self, channel: str, client: str) -> None:
        """Removes an entry."""

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns the entries by connection id."""

    async def stats(self, channel: str) -> PresenceStats:
        """Returns the counts."""


class PresenceError(Exception):
    """A presence manager could not do its work; the cause is kept."""
