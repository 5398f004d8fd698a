"""The command `publish` for maps: a client writes or removes a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import MapPublishOptions, MapRemoveOptions
from ..model.errors import ERROR_PERMISSION_DENIED
from ..node.settings import ChannelOptions
from ..protocol.commands import PublishRequest
from ..protocol.results import PublishResult
from .permissions import may_publish_key, may_remove_key

if TYPE_CHECKING:
    from .client import Client

DONE = PublishResult()


async def publish_key(client: Client, request: PublishRequest, command_id: int, options: ChannelOptions) -> None:
    """Writes a key; the writer gets its own change before the reply. A write that is suppressed is no error.

    Raises:
        ClientError: 103; 107, the channel is no map, or there is no key.
        BrokerError: the map broker cannot take it.
    """
    channel, maps = request.channel, client.node.maps
    if not may_publish_key(client, channel, options):
        raise ERROR_PERMISSION_DENIED
    key = key_of(client, request, options)
    change = MapPublishOptions(
        retention=maps.retention_of(channel), info=client.info_in(channel), use_delta=options.delta_publish
    )
    await maps.publish(channel, key, bytes(request.data), change)
    client.reply(command_id, "publish", DONE)


async def remove_key(client: Client, request: PublishRequest, command_id: int, options: ChannelOptions) -> None:
    """Removes a key; one that is not there is no error. Raises as publish_key()."""
    channel, maps = request.channel, client.node.maps
    if not may_remove_key(client, channel, options):
        raise ERROR_PERMISSION_DENIED
    key = key_of(client, request, options)
    await maps.remove(channel, key, MapRemoveOptions(retention=maps.retention_of(channel)))
    client.reply(command_id, "publish", DONE)


def key_of(client: Client, request: PublishRequest, options: ChannelOptions) -> str:
    """Returns the key that a client writes: its own choice, or what `map.client_key` gives it.

    Raises:
        ClientError: 103, the key would be the user's, and there is none.
    """
    chosen = options.map.client_key
    if chosen == "client_id":
        return client.id
    if chosen == "user_id":
        if not client.user:
            raise ERROR_PERMISSION_DENIED
        return client.user
    return request.key
