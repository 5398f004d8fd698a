"""map_publish, map_remove, map_read_state, map_read_stream, map_stats and map_clear: keyed state of channels."""

from __future__ import annotations

from ...interfaces import HistoryFilter, KeyMode, MapPublishOptions, MapRemoveOptions, MapResult, StateFilter
from ...model import StreamPosition
from ..contract import ApiNode
from ..errors import BAD_REQUEST, UNRECOVERABLE_POSITION, ApiError
from ..requests import (
    MAX_UINT64,
    ChannelRequest,
    MapPublishRequest,
    MapReadStateRequest,
    MapReadStreamRequest,
    MapRemoveRequest,
)
from ..results import EMPTY, MapChangeResult, MapReadResult, MapStatsResult, Result
from .payload import payload

KEY_MODES: dict[str, KeyMode] = {"": "", "if_new": "if_new", "if_exists": "if_exists"}
"""Values of `key_mode`."""


async def map_publish(node: ApiNode, request: MapPublishRequest) -> MapChangeResult | ApiError:
    """Writes a key (`map_publish`); `publication_data_format` does not hold here."""
    channel, key = request.channel or "", request.key or ""
    if not channel or not key:
        return BAD_REQUEST
    options = node.namespaces.options_of(channel)
    retention = node.maps.retention_of(channel)
    data = payload(request.data, request.b64data)
    key_mode = KEY_MODES.get(request.key_mode or "")
    if data is None or key_mode is None or (request.version or 0) > MAX_UINT64:
        return BAD_REQUEST
    tags = {name: value or "" for name, value in request.tags.items()} if request.tags else None
    change = MapPublishOptions(
        retention=retention,
        tags=tags,
        idempotency_key=request.idempotency_key or "",
        use_delta=request.delta or options.delta_publish,
        version=request.version or 0,
        version_epoch=request.version_epoch or "",
        key_mode=key_mode,
    )
    return _change_result(await node.maps.publish(channel, key, data, change))


async def map_remove(node: ApiNode, request: MapRemoveRequest) -> MapChangeResult | ApiError:
    """Removes a key (`map_remove`)."""
    channel, key = request.channel or "", request.key or ""
    if not channel or not key:
        return BAD_REQUEST
    retention = node.maps.retention_of(channel)
    change = MapRemoveOptions(retention=retention, idempotency_key=request.idempotency_key or "")
    return _change_result(await node.maps.remove(channel, key, change))


def _change_result(result: MapResult) -> MapChangeResult:
    return MapChangeResult(result.position.offset, result.position.epoch, result.suppressed, result.reason)


async def map_read_state(node: ApiNode, request: MapReadStateRequest) -> MapReadResult | ApiError:
    """Reads a page of a state (`map_read_state`)."""
    channel = request.channel or ""
    if not channel or (request.revision_offset or 0) > MAX_UINT64:
        return BAD_REQUEST
    retention = node.maps.retention_of(channel)
    wanted = StateFilter(request.cursor or "", request.limit or 0, request.key or "", bool(request.asc))
    page = await node.maps.read_state(channel, wanted, retention)
    pinned = request.revision_offset or request.revision_epoch
    if pinned and request.revision_epoch != page.position.epoch:
        return UNRECOVERABLE_POSITION
    return MapReadResult(page.entries, page.position.offset, page.position.epoch, page.cursor)


async def map_read_stream(node: ApiNode, request: MapReadStreamRequest) -> MapReadResult | ApiError:
    """Reads changes (`map_read_stream`); those behind an offset only if none of them is lost."""
    channel = request.channel or ""
    offset, epoch = request.since_offset or 0, request.since_epoch or ""
    if not channel or offset > MAX_UINT64:
        return BAD_REQUEST
    retention = node.maps.retention_of(channel)
    since = StreamPosition(offset, epoch) if offset or epoch else None
    wanted = HistoryFilter(request.limit or 0, since, bool(request.reverse))
    changes, top = await node.maps.read_stream(channel, wanted, retention)
    if epoch and epoch != top.epoch:
        return UNRECOVERABLE_POSITION
    if offset and not request.reverse and changes and changes[0].offset != offset + 1:
        return UNRECOVERABLE_POSITION
    return MapReadResult(changes, top.offset, top.epoch)


async def map_stats(node: ApiNode, request: ChannelRequest) -> MapStatsResult | ApiError:
    """Counts keys (`map_stats`)."""
    channel = request.channel or ""
    if not channel:
        return BAD_REQUEST
    node.maps.retention_of(channel)
    return MapStatsResult(await node.maps.count_keys(channel))


async def map_clear(node: ApiNode, request: ChannelRequest) -> Result | ApiError:
    """Drops state and changes (`map_clear`); subscribers read the state anew."""
    channel = request.channel or ""
    if not channel:
        return BAD_REQUEST
    node.maps.retention_of(channel)
    await node.maps.clear(channel)
    return EMPTY
