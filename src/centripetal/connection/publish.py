"""The command `publish`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from ..interfaces import PublishOptions
from ..interfaces import PublishResult as Published
from ..interfaces.hooks import PublishAnswer
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    ERROR_BAD_REQUEST,
    ERROR_INTERNAL,
    ERROR_PERMISSION_DENIED,
)
from ..node.publication_format import check_publication_data, is_json
from ..node.settings import ChannelOptions
from ..protocol.commands import PublishRequest
from ..protocol.results import PublishResult
from . import streams
from .hooks import ask_to_publish
from .map_publish import publish_key, remove_key
from .permissions import check_name, may_publish

if TYPE_CHECKING:
    from .client import Client

MAP_OPERATION = 1
"""Value of the publish request's `type`."""

DONE = PublishResult()


_UNDECIDED = PublishAnswer()
"""Of an application that is not asked."""


def publish(client: Client, request: PublishRequest, command_id: int) -> Awaitable[None] | None:
    """Handles the command `publish`; the publisher gets its own publication before the reply.

    Raises:
        ClientError: 102, 103, 107, 108, or the application's.
        Disconnect: 3501, no channel given; or the application's.
        HookError: the application cannot be asked.
        BrokerError: the broker cannot take it.
    """
    channel = request.channel
    if not channel:
        raise DISCONNECT_BAD_REQUEST
    options = check_name(client, channel)
    if request.type == MAP_OPERATION:
        return (remove_key if request.removed else publish_key)(client, request, command_id, options)
    data = bytes(request.data)
    check_publication_data(data, options.publication_data_format)
    asked = options.publish_proxy_enabled
    if options.subscribe_stream_proxy_enabled and not asked:
        return _publish_to_stream(client, request, command_id, data)
    if not asked and not may_publish(client, channel, options):
        raise ERROR_PERMISSION_DENIED
    if options.subscription_type not in ("", "stream"):
        raise ERROR_BAD_REQUEST
    if asked:
        return _publish_as_decided(client, request, command_id, options)
    return _publish(client, channel, command_id, options, data, _UNDECIDED)


def _publish(
    client: Client, channel: str, command_id: int, options: ChannelOptions, data: bytes, answer: PublishAnswer
) -> Awaitable[None] | None:
    node = client.node
    publishing = node.begin_publish(
        channel,
        data if answer.data is None else answer.data,
        PublishOptions(
            history_size=0 if answer.skip_history else options.history_size,
            history_ttl_seconds=0.0 if answer.skip_history else options.history_ttl,
            history_meta_ttl_seconds=node.history_meta_ttl_seconds(options),
            info=client.info_in(channel),
            tags=answer.tags or None,
            idempotency_key=answer.idempotency_key,
            version=answer.version,
            version_epoch=answer.version_epoch,
            use_delta=answer.delta or options.delta_publish,
        ),
    )
    if not isinstance(publishing, Published):
        return _reply_later(client, command_id, publishing)
    client.reply(command_id, "publish", DONE)
    return None


async def _reply_later(client: Client, command_id: int, publishing: Awaitable[Published]) -> None:
    await publishing
    client.reply(command_id, "publish", DONE)


async def _publish_as_decided(
    client: Client, request: PublishRequest, command_id: int, options: ChannelOptions
) -> None:
    answer = await decide(client, request, options)
    publishing = _publish(client, request.channel, command_id, options, bytes(request.data), answer)
    if publishing is not None:
        await publishing


async def _publish_to_stream(client: Client, request: PublishRequest, command_id: int, data: bytes) -> None:
    await streams.publish(client, request.channel, data)
    client.reply(command_id, "publish", DONE)


async def decide(client: Client, request: PublishRequest, options: ChannelOptions) -> PublishAnswer:
    """Asks the application what to publish; where data has to be JSON, what it puts in place of the client's must be, too.

    Raises:
        ClientError, Disconnect, HookError: as publish().
    """
    answer = await ask_to_publish(client, request, options)
    wanted = options.publication_data_format
    if answer.data is not None and wanted in ("json", "json_object") and not is_json(answer.data):
        client.node.client_log.error("hook_data_refused", hook="publish", format=wanted)
        raise ERROR_INTERNAL
    return answer
