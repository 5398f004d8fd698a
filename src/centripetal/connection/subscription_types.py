"""The command `subscribe`, handed to who knows the type that it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..model.errors import DISCONNECT_BAD_REQUEST, ERROR_BAD_REQUEST
from ..protocol.commands import SubscribeRequest
from .establish import FOSSIL
from .map_subscribe import subscribe_map
from .poll_subscribe import is_polled, subscribe_poll
from .subscribe import MAP, MAP_CLIENTS, MAP_USERS, SHARED_POLL, subscribe

if TYPE_CHECKING:
    from .client import Client

HANDLERS: dict[int, Callable[[Client, SubscribeRequest, int], Awaitable[None]]] = {
    MAP: subscribe_map,
    MAP_CLIENTS: subscribe_map,
    MAP_USERS: subscribe_map,
    SHARED_POLL: subscribe_poll,
}
"""By `type`; any other is a subscription to a stream, or refused as one."""


async def subscribe_by_type(client: Client, request: SubscribeRequest, command_id: int) -> None:
    """Handles the command `subscribe`; raises as its handlers.

    Raises:
        ClientError: 107, a channel of shared polls, and another type.
        Disconnect: 3501, malformed.
    """
    if not request.channel or (request.delta and request.delta != FOSSIL):
        raise DISCONNECT_BAD_REQUEST
    if request.type != SHARED_POLL and is_polled(client, request.channel):
        raise ERROR_BAD_REQUEST
    await HANDLERS.get(request.type, subscribe)(client, request, command_id)
