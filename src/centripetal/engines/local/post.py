"""Messages between the nodes that are linked to one host."""

from __future__ import annotations

from typing import Protocol

from ...interfaces import ControlEvents


class PostMethods(Protocol):
    """What a linked process asks of the host's post."""

    async def subscribe(self, channel: str) -> None:
        """Asks for what goes to an address; empty for what goes to all."""

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message to all that asked for the address."""


class Post:
    """Passes messages on; implements `send` of PostMethods. Who wants which address, the host knows."""

    def __init__(self) -> None:
        self._events: ControlEvents | None = None

    def bind(self, events: ControlEvents) -> None:
        """Tells where messages go."""
        self._events = events

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message to all that asked for the address."""
        if self._events is not None:
            self._events.on_control(address, message)
