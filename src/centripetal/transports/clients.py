"""What transports carry."""

from __future__ import annotations

from typing import Protocol

from ..protocol.commands import ConnectRequest


class TransportClient(Protocol):
    """What a transport tells the client that it carries."""

    def receive(self, message: bytes) -> None:
        """One whole message came; its payload."""

    def native_pong(self) -> None:
        """A pong frame came."""

    def writing_paused(self) -> None:
        """More is buffered than the high-water mark."""

    def writing_resumed(self) -> None:
        """The buffer is below the low-water mark again."""

    def transport_closed(self) -> None:
        """The connection is gone, or nothing can be sent on it any more; called exactly once."""


class UnidirectionalClient(TransportClient, Protocol):
    """The same of a client that may only listen."""

    def connect(self, request: ConnectRequest) -> None:
        """The request came with which such a connection starts."""
