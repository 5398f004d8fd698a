"""What the server API does with connections of a user, on this node: at its own call or another node's."""

from __future__ import annotations

from typing import Any

from ..model import Disconnect
from . import control
from .registry import Registry


async def carry_out(registry: Registry, message: Any) -> None:
    """Does with this node's connections what a message says.

    Args:
        registry: the connections.
        message: SubscribeUser, UnsubscribeUser, DisconnectUser or RefreshUser.

    Raises:
        ClientError: 102, unknown namespace; 105, already subscribed; 110, expired already.
    """
    connections = registry.of_user(message.user, message.client, message.session)
    match message:
        case control.SubscribeUser():
            for connection in connections:
                await connection.subscribe_by_server(message)
        case control.UnsubscribeUser():
            for connection in connections:
                await connection.unsubscribe_by_server(message.channel)
        case control.DisconnectUser():
            spared = set(message.whitelist)
            for connection in connections:
                if connection.id not in spared:
                    connection.disconnect(Disconnect(message.code, message.reason))
        case control.RefreshUser():
            for connection in connections:
                connection.refresh_by_server(
                    expired=message.expired, expire_at=message.expire_at, info=message.info
                )
