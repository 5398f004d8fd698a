"""The commands `presence` and `presence_stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import DISCONNECT_BAD_REQUEST, ERROR_NOT_AVAILABLE, ERROR_PERMISSION_DENIED
from ..protocol.commands import PresenceRequest, PresenceStatsRequest
from ..protocol.results import PresenceResult, PresenceStatsResult
from .permissions import check_name, may_read_presence

if TYPE_CHECKING:
    from .client import Client


async def presence(client: Client, request: PresenceRequest, command_id: int) -> None:
    """Handles the command `presence`; raises as check_access(), and PresenceError."""
    check_access(client, request.channel)
    client.reply(command_id, "presence", PresenceResult(presence=await client.node.presence(request.channel)))


async def presence_stats(client: Client, request: PresenceStatsRequest, command_id: int) -> None:
    """Handles the command `presence_stats`; raises as check_access(), and PresenceError."""
    check_access(client, request.channel)
    stats = await client.node.presence_stats(request.channel)
    client.reply(
        command_id, "presence_stats", PresenceStatsResult(num_clients=stats.num_clients, num_users=stats.num_users)
    )


def check_access(client: Client, channel: str) -> None:
    """Makes sure that the client may read presence.

    Raises:
        ClientError: 102, 103, 107, or 108 when the namespace has no presence.
        Disconnect: 3501, no channel given.
    """
    if not channel:
        raise DISCONNECT_BAD_REQUEST
    options = check_name(client, channel)
    if not options.presence:
        raise ERROR_NOT_AVAILABLE
    if not may_read_presence(client, channel, options):
        raise ERROR_PERMISSION_DENIED
