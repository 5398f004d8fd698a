"""The command `history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import HistoryFilter
from ..model import StreamPosition
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    ERROR_BAD_REQUEST,
    ERROR_NOT_AVAILABLE,
    ERROR_PERMISSION_DENIED,
    ERROR_UNRECOVERABLE_POSITION,
)
from ..protocol.commands import HistoryRequest
from ..protocol.results import HistoryResult
from .permissions import check_name, may_read_history
from .recovery import entries_of

if TYPE_CHECKING:
    from .client import Client


async def history(client: Client, request: HistoryRequest, command_id: int) -> None:
    """Handles the command `history`, within `client.history_max_publication_limit`.

    Raises:
        ClientError: 102, 103, 107, 108 when the namespace has no history, 112 when the epoch is another.
        Disconnect: 3501, no channel given.
        BrokerError: the stream cannot be read.
    """
    channel, node = request.channel, client.node
    if not channel:
        raise DISCONNECT_BAD_REQUEST
    options = check_name(client, channel)
    if options.history_size <= 0 or options.history_ttl <= 0:
        raise ERROR_NOT_AVAILABLE
    if not may_read_history(client, channel, options):
        raise ERROR_PERMISSION_DENIED
    limit, most = request.limit, node.client.history_max_publication_limit
    if most > 0 and (limit < 0 or limit > most):
        limit = most
    since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
    if since is not None and request.reverse and since.offset == 0:
        raise ERROR_BAD_REQUEST
    publications, top = await node.history(
        channel, HistoryFilter(limit, since, request.reverse), node.history_meta_ttl_seconds(options)
    )
    if since is not None and since.epoch and since.epoch != top.epoch:
        raise ERROR_UNRECOVERABLE_POSITION
    codec = client.encoding.codec
    shared = node.shared_entries.of(channel, top.epoch, codec, fossil=False) if publications else None
    entries = await entries_of(codec, publications, delta=False, shared=shared)
    client.reply(command_id, "history", HistoryResult(publications=entries, epoch=top.epoch, offset=top.offset))
