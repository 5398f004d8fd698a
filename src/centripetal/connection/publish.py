"""The command `publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import PublishOptions
from ..model.errors import DISCONNECT_BAD_REQUEST, ERROR_BAD_REQUEST, ERROR_PERMISSION_DENIED
from ..node.publication_format import check_publication_data
from ..protocol.commands import PublishRequest
from ..protocol.results import PublishResult
from .permissions import check_name, may_publish

if TYPE_CHECKING:
    from .client import Client

MAP_OPERATION = 1
"""Value of the publish request's `type`."""

DONE = PublishResult()


async def publish(client: Client, request: PublishRequest, command_id: int) -> None:
    """Handles the command `publish`; the publisher gets its own publication before the reply.

    Raises:
        ClientError: 102, 103 or 107.
        Disconnect: 3501, no channel given.
        BrokerError: the broker cannot take it.
    """
    channel = request.channel
    if not channel:
        raise DISCONNECT_BAD_REQUEST
    options = check_name(client, channel)
    if request.type == MAP_OPERATION:
        raise ERROR_PERMISSION_DENIED
    data = bytes(request.data)
    check_publication_data(data, options.publication_data_format)
    if not may_publish(client, channel, options):
        raise ERROR_PERMISSION_DENIED
    if options.subscription_type not in ("", "stream"):
        raise ERROR_BAD_REQUEST
    node = client.node
    await node.publish(
        channel,
        data,
        PublishOptions(
            history_size=options.history_size,
            history_ttl_seconds=options.history_ttl,
            history_meta_ttl_seconds=node.history_meta_ttl_seconds(options),
            info=client.info_in(channel),
            use_delta=options.delta_publish,
        ),
    )
    client.reply(command_id, "publish", DONE)
