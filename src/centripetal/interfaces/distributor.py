"""What brokers of streams and of maps have in common."""

from __future__ import annotations

from typing import Any, Protocol


class Distributor(Protocol):
    """Tells a node what happens in the channels that it wants; a Broker and a MapBroker are one."""

    def bind(self, events: Any) -> None:
        """Tells where events go. Called once, before start()."""

    async def start(self) -> None:
        """Begins to work."""

    async def stop(self) -> None:
        """Ends it."""

    async def subscribe(self, channel: str) -> None:
        """The node wants the channel."""

    async def unsubscribe(self, channel: str) -> None:
        """The node does not want it any more."""
