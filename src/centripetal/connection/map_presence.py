"""Who is in a channel, mirrored into maps: one of connections, one of users.

`map_clients_presence_channel_prefix` and `map_users_presence_channel_prefix` of a namespace name the maps. A connection's
key goes when it leaves; a user's key goes when nobody renews it, so that a quick return is no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ..interfaces import BrokerError, MapPublishOptions, MapRemoveOptions
from ..model import ClientError, ClientInfo
from ..model.errors import forget_traceback
from .subscription import MIRRORED

if TYPE_CHECKING:
    from .client import Client

logger = structlog.get_logger("centripetal.connection")


async def appear(client: Client, channel: str) -> bool:
    """Writes the keys of a subscriber, or renews them; returns whether the subscription is still there afterwards."""
    try:
        options = client.node.namespaces.options_of(channel)
        if options.map_clients_presence_channel_prefix:
            info = client.info_in(channel)
            await _write(client, options.map_clients_presence_channel_prefix + channel, client.id, info)
        if options.map_users_presence_channel_prefix and client.user:
            await _write(client, options.map_users_presence_channel_prefix + channel, client.user, None)
    except (BrokerError, ClientError) as error:
        logger.warning("map_presence_incomplete", channel=channel, client=client.id, error=str(error))
        forget_traceback(error)
    subscription = client.subscriptions.get(channel)
    return subscription is not None and bool(subscription.flags & MIRRORED)


async def _write(client: Client, channel: str, key: str, info: ClientInfo | None) -> None:
    maps = client.node.maps
    change = MapPublishOptions(
        retention=maps.retention_of(channel), info=info, key_mode="if_new", refresh_ttl_on_suppress=True
    )
    await maps.publish(channel, key, b"", change)


async def disappear(client: Client, channel: str) -> None:
    """Removes the connection's key.

    Raises:
        BrokerError: the map broker cannot do it.
        ClientError: the namespace of the map is gone.
    """
    prefix = client.node.namespaces.options_of(channel).map_clients_presence_channel_prefix
    if prefix:
        await remove_key(client, prefix + channel)


async def remove_key(client: Client, channel: str) -> None:
    """Removes the key that is the connection's id (`map.remove_client_on_unsubscribe`); raises as disappear()."""
    maps = client.node.maps
    await maps.remove(channel, client.id, MapRemoveOptions(retention=maps.retention_of(channel)))
