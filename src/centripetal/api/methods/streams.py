"""history and history_remove: streams of channels."""

from __future__ import annotations

from ...interfaces import HistoryFilter
from ...node.settings import ChannelOptions
from ..contract import ApiNode
from ..errors import BAD_REQUEST, INTERNAL, NOT_AVAILABLE, UNRECOVERABLE_POSITION, ApiError
from ..requests import MAX_UINT64, ChannelRequest, HistoryRequest
from ..results import EMPTY, HistoryResult, Result
from .subscriptions import stream_position


def _options(node: ApiNode, channel: str) -> ChannelOptions | ApiError:
    if not channel:
        return BAD_REQUEST
    options = node.namespaces.options_of(channel)
    return options if options.history_size > 0 and options.history_ttl > 0 else NOT_AVAILABLE


async def history(node: ApiNode, request: HistoryRequest) -> HistoryResult | ApiError:
    """Reads the stream of a channel (`history`), without the limits that clients have."""
    channel = request.channel or ""
    options = _options(node, channel)
    if isinstance(options, ApiError):
        return options
    since = stream_position(request.since)
    if since is not None and since.offset > MAX_UINT64:
        return BAD_REQUEST
    if request.reverse and since is not None and since.offset == 0:
        return INTERNAL  # clients get 107 for it, API callers have always got this
    wanted = HistoryFilter(limit=request.limit or 0, since=since, reverse=bool(request.reverse))
    publications, top = await node.history(channel, wanted, node.history_meta_ttl_seconds(options))
    if since is not None and since.epoch and since.epoch != top.epoch:
        return UNRECOVERABLE_POSITION
    return HistoryResult(publications, top.offset, top.epoch)


async def history_remove(node: ApiNode, request: ChannelRequest) -> Result | ApiError:
    """Removes a stream's publications (`history_remove`); its position goes on."""
    channel = request.channel or ""
    options = _options(node, channel)
    if isinstance(options, ApiError):
        return options
    await node.remove_history(channel)
    return EMPTY
