"""A node's place taken by a list: records what a broker distributes."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import NamedTuple

from ..model import ClientInfo, Publication, StreamPosition


class PublicationEvent(NamedTuple):
    """One call of on_publication."""

    channel: str
    publication: Publication
    position: StreamPosition
    use_delta: bool
    previous: Publication | None


class RecordedEvents:
    """Records in order; implements `interfaces.BrokerEvents` and `interfaces.MapBrokerEvents`.

    Attributes:
        publications: calls of on_publication.
        joins: channel and client of each join.
        leaves: channel and client of each leave.
        lost_states: channels whose keys went at once.
    """

    def __init__(self) -> None:
        self.publications: list[PublicationEvent] = []
        self.joins: list[tuple[str, ClientInfo]] = []
        self.leaves: list[tuple[str, ClientInfo]] = []
        self.lost_states: list[str] = []
        self._arrived = asyncio.Event()

    def on_publication(
        self,
        channel: str,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        """Records a publication."""
        self.publications.append(PublicationEvent(channel, publication, position, use_delta, previous))
        self._arrived.set()

    def on_join(self, channel: str, info: ClientInfo) -> None:
        """Records a join."""
        self.joins.append((channel, info))
        self._arrived.set()

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        """Records a leave."""
        self.leaves.append((channel, info))
        self._arrived.set()

    def on_state_lost(self, channel: str) -> None:
        """Records the loss of a state."""
        self.lost_states.append(channel)
        self._arrived.set()

    async def wait_publications(self, count: int, *, timeout_seconds: float = 5.0) -> list[PublicationEvent]:
        """Waits until so many publications have arrived; returns them all.

        Raises:
            TimeoutError: they did not come.
        """
        await self._wait_length(self.publications, count, timeout_seconds)
        return self.publications

    async def wait_joins(self, count: int, *, timeout_seconds: float = 5.0) -> list[tuple[str, ClientInfo]]:
        """Waits until so many joins have arrived; returns them all.

        Raises:
            TimeoutError: they did not come.
        """
        await self._wait_length(self.joins, count, timeout_seconds)
        return self.joins

    async def wait_leaves(self, count: int, *, timeout_seconds: float = 5.0) -> list[tuple[str, ClientInfo]]:
        """Waits until so many leaves have arrived; returns them all.

        Raises:
            TimeoutError: they did not come.
        """
        await self._wait_length(self.leaves, count, timeout_seconds)
        return self.leaves

    async def wait_lost_states(self, count: int, *, timeout_seconds: float = 5.0) -> list[str]:
        """Waits until so many states were lost; returns their channels.

        Raises:
            TimeoutError: they were not.
        """
        await self._wait_length(self.lost_states, count, timeout_seconds)
        return self.lost_states

    async def _wait_length(self, recorded: Sized, count: int, timeout_seconds: float) -> None:
        async with asyncio.timeout(timeout_seconds):
            while len(recorded) < count:
                self._arrived.clear()
                await self._arrived.wait()
