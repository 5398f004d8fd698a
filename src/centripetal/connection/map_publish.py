"""The command `publish` for maps: a client writes or removes a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import MapPublishOptions, MapRemoveOptions
from ..interfaces.map_hooks import MapPublishAnswer, MapRemoveAnswer
from ..model.errors import ERROR_PERMISSION_DENIED
from ..node.settings import ChannelOptions
from ..protocol.commands import PublishRequest
from ..protocol.results import PublishResult
from .hooks import ask_to_remove, ask_to_write
from .permissions import may_publish_key, may_remove_key

if TYPE_CHECKING:
    from .client import Client

DONE = PublishResult()


async def publish_key(client: Client, request: PublishRequest, command_id: int, options: ChannelOptions) -> None:
    """Writes a key; the writer gets its own change before the reply. A write that is suppressed is no error.

    The application decides where the namespace asks it (`map.publish_proxy_enabled`), else the `allow_*` options.

    Raises:
        ClientError: 103; 107, the channel is no map, or there is no key; 108; or the application's.
        Disconnect: the application's.
        HookError: the application cannot be asked.
        BrokerError: the map broker cannot take it.
    """
    channel, maps = request.channel, client.node.maps
    if options.map.publish_proxy_enabled:
        answer = await ask_to_write(client, request, options)
    elif may_publish_key(client, channel, options):
        answer = MapPublishAnswer(key=key_of(client, request, options))
    else:
        raise ERROR_PERMISSION_DENIED
    change = MapPublishOptions(
        retention=maps.retention_of(channel),
        info=client.info_in(channel),
        tags=answer.tags or None,
        idempotency_key=answer.idempotency_key,
        use_delta=answer.delta or options.delta_publish,
        version=answer.version,
        version_epoch=answer.version_epoch,
        key_mode=answer.key_mode,
    )
    data = bytes(request.data) if answer.data is None else answer.data
    await maps.publish(channel, answer.key or request.key, data, change)
    client.reply(command_id, "publish", DONE)


async def remove_key(client: Client, request: PublishRequest, command_id: int, options: ChannelOptions) -> None:
    """Removes a key; one that is not there is no error. Raises as publish_key()."""
    channel, maps = request.channel, client.node.maps
    if options.map.remove_proxy_enabled:
        answer = await ask_to_remove(client, request, options)
    elif may_remove_key(client, channel, options):
        answer = MapRemoveAnswer(key=key_of(client, request, options))
    else:
        raise ERROR_PERMISSION_DENIED
    change = MapRemoveOptions(
        retention=maps.retention_of(channel), tags=answer.tags or None, idempotency_key=answer.idempotency_key
    )
    await maps.remove(channel, answer.key or request.key, change)
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
