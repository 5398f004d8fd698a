"""The command `sub_refresh`: a new token for a subscription, or other keys for one to a shared poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import TokenExpired, TokenInvalid
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_INVALID_TOKEN,
    ERROR_BAD_REQUEST,
    ERROR_EXPIRED,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
)
from ..protocol.commands import SubRefreshRequest
from ..protocol.results import SubRefreshResult
from . import duties
from .permissions import is_subscribed
from .server_side import MAX_TTL_SECONDS
from .subscription import CLIENT_SIDE_REFRESH
from .track import TRACK, UNTRACK, change_keys
from .tracking import Tracking

if TYPE_CHECKING:
    from .client import Client


async def sub_refresh(client: Client, request: SubRefreshRequest, command_id: int) -> None:
    """Handles the command `sub_refresh`.

    Raises:
        ClientError: 103, not subscribed; 107, no token; 109, expired; 110, the new expiry is past; those of change_keys().
        Disconnect: 3501, no channel, or the server refreshes; 3500, invalid or for something else.
    """
    channel = request.channel
    if not channel:
        raise DISCONNECT_BAD_REQUEST
    if not is_subscribed(client, channel):
        raise ERROR_PERMISSION_DENIED
    subscription = client.subscriptions[channel]
    if isinstance(subscription, Tracking) and request.type in (TRACK, UNTRACK):
        change_keys(client, request, command_id, subscription)
        return
    if not subscription.flags & CLIENT_SIDE_REFRESH:
        raise DISCONNECT_BAD_REQUEST
    if not request.token:
        raise ERROR_BAD_REQUEST
    if client.node.tokens is None:
        raise DISCONNECT_INVALID_TOKEN
    try:
        claims = await client.node.tokens.verify_subscription(request.token)
    except TokenExpired:
        raise ERROR_TOKEN_EXPIRED from None
    except TokenInvalid:
        raise DISCONNECT_INVALID_TOKEN from None
    if claims.channel != channel or claims.user != client.user or claims.client not in ("", client.id):
        raise DISCONNECT_INVALID_TOKEN
    now = int(client.node.clock.time())
    expire_at = min(claims.expire_at, now + MAX_TTL_SECONDS)
    if 0 < expire_at < now:
        raise ERROR_EXPIRED
    if client.subscriptions.get(channel) is subscription:
        subscription.info = claims.info
        subscription.expire_at = max(expire_at, 0)
        duties.watch_subscriptions(client)
    client.reply(
        command_id, "sub_refresh", SubRefreshResult(expires=expire_at > 0, ttl=expire_at - now if expire_at > 0 else 0)
    )
