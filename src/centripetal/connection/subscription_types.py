"""The command `subscribe`, handed to who knows the type that it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..model.errors import DISCONNECT_BAD_REQUEST
from ..protocol.commands import SubscribeRequest
from .establish import FOSSIL
from .map_subscribe import subscribe_map
from .subscribe import MAP, MAP_CLIENTS, MAP_USERS, subscribe

if TYPE_CHECKING:
    from .client import Client

HANDLERS: dict[int, Callable[[Client, SubscribeRequest, int], Awaitable[None]]] = {
    MAP: subscribe_map,
    MAP_CLIENTS: subscribe_map,
    MAP_USERS: subscribe_map,
}
"""By `type`; any other is a subscription to a stream, or refused as one."""


async def subscribe_by_type(client: Client, request: SubscribeRequest, command_id: int) -> None:
    """Handles the command `subscribe`; raises as its handlers.

    Raises:
        Disconnect: 3501, malformed.
    """
    if not request.channel or (request.delta and request.delta != FOSSIL):
        raise DISCONNECT_BAD_REQUEST
    await HANDLERS.get(request.type, subscribe)(client, request, command_id)
