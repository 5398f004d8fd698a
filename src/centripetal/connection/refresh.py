"""The command `refresh`: a new token for the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import ConnectionClaims, TokenExpired, TokenInvalid
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_EXPIRED,
    DISCONNECT_INSUFFICIENT_STATE,
    DISCONNECT_INVALID_TOKEN,
    ERROR_EXPIRED,
)
from ..protocol.commands import RefreshRequest
from ..protocol.results import RefreshResult
from . import duties
from .server_side import MAX_TTL_SECONDS
from .subscription import FROM_CONNECTION_TOKEN

if TYPE_CHECKING:
    from .client import Client


async def refresh(client: Client, request: RefreshRequest, command_id: int) -> None:
    """Handles the command `refresh`.

    Raises:
        ClientError: 110, the new expiry is past.
        Disconnect: 3501, no token, or the server refreshes; 3005, expired; 3500, invalid or of another user; 3010, the
            token asks for other server-side subscriptions.
    """
    if not request.token or not client.client_side_refresh or client.node.tokens is None:
        raise DISCONNECT_BAD_REQUEST
    try:
        claims = await client.node.tokens.verify_connection(request.token)
    except TokenExpired:
        raise DISCONNECT_EXPIRED from None
    except TokenInvalid:
        raise DISCONNECT_INVALID_TOKEN from None
    if claims.user != client.user:
        raise DISCONNECT_INVALID_TOKEN
    if claims.meta:
        client.meta = claims.meta
    if subscriptions_changed(client, claims):
        raise DISCONNECT_INSUFFICIENT_STATE
    now = int(client.node.clock.time())
    expire_at = min(claims.expire_at, now + MAX_TTL_SECONDS)
    if expire_at > 0:
        if expire_at <= now:
            raise ERROR_EXPIRED
        client.expire_at = expire_at
        if claims.info:
            client.info = claims.info
        duties.set_expiry(client)
    client.reply(
        command_id, "refresh", RefreshResult(expires=expire_at > 0, ttl=expire_at - now if expire_at > 0 else 0)
    )


def subscriptions_changed(client: Client, claims: ConnectionClaims) -> bool:
    """Whether a token asks for other server-side subscriptions than the client has by its token."""
    if any(channel not in client.subscriptions for channel in claims.subscriptions):
        return True
    return any(
        subscription.flags & FROM_CONNECTION_TOKEN and channel not in claims.subscriptions
        for channel, subscription in client.subscriptions.items()
    )
