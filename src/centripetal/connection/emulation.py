"""Commands of clients whose transport has no way up: they come in requests of their own, with the session's secret."""

from __future__ import annotations

from enum import Enum

from ..node.node import Node
from ..protocol.commands import EmulationRequest
from .client import Client


class Emulated(Enum):
    """What became of an emulation request."""

    TAKEN = "taken"
    UNKNOWN_NODE = "unknown node"
    BUSY = "busy"


def emulate(node: Node, request: EmulationRequest) -> Emulated:
    """Gives commands to the connection with a session; that it is gone is no failure.

    Args:
        node: this one.
        request: for a session of this node.

    Returns:
        BUSY when too much waits behind a command of the connection.
    """
    if request.node != node.id:
        return Emulated.UNKNOWN_NODE
    client = node.registry.sessions.get(request.session)
    if isinstance(client, Client) and client.transport.emulated:
        if client.is_overfull:
            return Emulated.BUSY
        client.receive(request.data)
    return Emulated.TAKEN
