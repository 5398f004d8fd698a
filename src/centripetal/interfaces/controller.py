"""What a controller provides: messages between the nodes of a cluster."""

from __future__ import annotations

from typing import Protocol


class ControlEvents(Protocol):
    """What the node does with messages of other nodes. Called on the event loop."""

    def on_control(self, address: str, message: bytes) -> None:
        """A message arrived.

        Args:
            address: this node's id, or empty when it went to all.
            message: what another node, or this one, sent.
        """


class Controller(Protocol):
    """Carries messages between nodes. Those of one sender to one node arrive in order, or not at all.

    A method raises BrokerError when the controller cannot do its work.
    """

    def bind(self, events: ControlEvents) -> None:
        """Tells where messages go. Called once, before start()."""

    async def start(self, node: str) -> None:
        """Begins to receive.

        Args:
            node: this node's id.
        """

    async def stop(self) -> None:
        """Ends it."""

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message.

        Args:
            address: id of a node, empty for all (the sender included).
            message: opaque.
        """
