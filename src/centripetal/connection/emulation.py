"""Commands of clients whose transport has no way up: they come in requests of their own, with the session's secret."""

from __future__ import annotations

from enum import Enum

import msgspec

from ..interfaces import BrokerError
from ..node.node import Node
from ..protocol.commands import EmulationRequest
from .client import Client

TOPIC = "emulation"

_decode = msgspec.msgpack.Decoder(tuple[str, bytes]).decode


class Emulated(Enum):
    """What became of an emulation request."""

    TAKEN = "taken"
    UNKNOWN_NODE = "unknown node"
    BUSY = "busy"


async def emulate(node: Node, request: EmulationRequest) -> Emulated:
    """Gives commands to the connection with a session; that it is gone is no failure.

    Args:
        node: this one.
        request: for a session of this node, or of another one in the cluster.

    Returns:
        BUSY when too much waits behind a command of the connection.
    """
    cluster = node.cluster
    if request.node == node.public_id and request.session.startswith(node.session_prefix):
        return _take(node, request.session, request.data)
    if cluster is None or not cluster.is_known(request.node):
        return Emulated.UNKNOWN_NODE
    holder = cluster.holder_of(request.node, request.session)
    if holder is None:
        return Emulated.TAKEN
    body = msgspec.msgpack.encode((request.session, request.data))
    try:
        answers = await cluster.ask(TOPIC, body, (holder,))
    except BrokerError:
        return Emulated.BUSY
    return Emulated(answers[holder].decode()) if holder in answers else Emulated.BUSY


def answer_emulation(node: Node) -> None:
    """Takes commands that came in at other nodes of the cluster."""
    if node.cluster is None:
        return

    async def answer(body: bytes) -> bytes:
        return _take(node, *_decode(body)).value.encode()

    node.cluster.handlers[TOPIC] = answer


def _take(node: Node, session: str, data: bytes) -> Emulated:
    client = node.registry.sessions.get(session)
    if isinstance(client, Client) and client.transport.emulated:
        if client.is_overfull:
            return Emulated.BUSY
        client.receive(data)
    return Emulated.TAKEN
