"""Writes results of the server API into Protobuf messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from ...model import ClientInfo, Publication
from ..errors import INTERNAL, ApiError
from ..methods import METHODS, Reply
from ..results import (
    BroadcastResult,
    ChannelsResult,
    HistoryResult,
    InfoResult,
    MapChangeResult,
    MapReadResult,
    MapStatsResult,
    PresenceResult,
    PresenceStatsResult,
    PublishResult,
    Result,
)
from ..time_slice import TimeSlice
from .requests import wire_name
from .schema import api_pb2 as schema

logger = structlog.get_logger(__name__)

_RESPONSES: dict[str, Callable[[], Any]] = {name: getattr(schema, f"{wire_name(name)}Response") for name in METHODS}


async def encode_response(method: str, outcome: Result | ApiError) -> bytes:
    """Returns the response message of a method, with `result` or `error` in it."""
    response = _RESPONSES[method]()
    if not isinstance(outcome, ApiError):
        outcome = await _write_result(method, response.result, outcome)
    if isinstance(outcome, ApiError):
        response.ClearField("result")
        _write_error(response.error, outcome)
    encoded: bytes = response.SerializeToString()
    return encoded


async def encode_replies(replies: list[Reply]) -> bytes:
    """Returns the response message of a batch."""
    response = schema.BatchResponse()
    time_slice = TimeSlice()
    for each in replies:
        method, outcome = each.method, each.outcome
        reply = response.replies.add()
        if not isinstance(outcome, ApiError):
            outcome = await _write_result(method, getattr(reply, method), outcome)
        if isinstance(outcome, ApiError):
            reply.Clear()
            _write_error(reply.error, outcome)
        if time_slice.is_over():
            await time_slice.renew()
    encoded: bytes = response.SerializeToString()
    return encoded


def _write_error(message: schema.Error, error: ApiError) -> None:
    message.code = error.code
    message.message = error.message


async def _write_result(method: str, message: Any, result: Result) -> Result | ApiError:
    """Fills a result message; text from elsewhere that Protobuf cannot hold makes the result an error."""
    message.SetInParent()  # a result without any value is a result too
    writer = _WRITERS.get(type(result))
    if writer is None:
        return result
    try:
        await writer(message, result)
    except UnicodeEncodeError:
        logger.error("api_result_not_unicode", method=method)
        return INTERNAL
    return result


async def _write_publish(message: schema.PublishResult, result: PublishResult) -> None:
    message.offset = result.offset
    message.epoch = result.epoch


async def _write_broadcast(message: schema.BroadcastResult, result: BroadcastResult) -> None:
    time_slice = TimeSlice()
    for outcome in result.responses:
        response = message.responses.add()
        if isinstance(outcome, ApiError):
            _write_error(response.error, outcome)
        else:
            response.result.SetInParent()
            await _write_publish(response.result, outcome)
        if time_slice.is_over():
            await time_slice.renew()


def _write_client_info(message: schema.ClientInfo, info: ClientInfo) -> None:
    message.user = info.user
    message.client = info.client
    message.conn_info = info.conn_info
    message.chan_info = info.chan_info


async def _write_presence(message: schema.PresenceResult, result: PresenceResult) -> None:
    time_slice = TimeSlice()
    for client, info in result.presence.items():
        _write_client_info(message.presence[client], info)
        if time_slice.is_over():
            await time_slice.renew()


async def _write_presence_stats(message: schema.PresenceStatsResult, result: PresenceStatsResult) -> None:
    message.num_clients = result.num_clients
    message.num_users = result.num_users


def _write_publication(message: schema.Publication, publication: Publication) -> None:
    message.data = publication.data
    message.offset = publication.offset
    if publication.info is not None:
        _write_client_info(message.info, publication.info)
        message.info.SetInParent()
    if publication.tags:
        message.tags.update(publication.tags)


async def _write_history(message: schema.HistoryResult, result: HistoryResult) -> None:
    message.offset = result.offset
    message.epoch = result.epoch
    time_slice = TimeSlice()
    for publication in result.publications:
        _write_publication(message.publications.add(), publication)
        if time_slice.is_over():
            await time_slice.renew()


async def _write_info(message: schema.InfoResult, result: InfoResult) -> None:
    message.nodes.extend([schema.NodeResult(**node) for node in result.nodes])  # type: ignore[arg-type]  # wire names


async def _write_channels(message: schema.ChannelsResult, result: ChannelsResult) -> None:
    time_slice = TimeSlice()
    for channel, num_clients in result.channels.items():
        message.channels[channel].num_clients = num_clients
        if time_slice.is_over():
            await time_slice.renew()


async def _write_map_change(message: Any, result: MapChangeResult) -> None:
    message.offset = result.offset
    message.epoch = result.epoch
    message.suppressed = result.suppressed
    message.suppress_reason = result.suppress_reason


def _write_map_entry(message: schema.MapEntry, entry: Publication) -> None:
    message.key = entry.key
    message.data = entry.data
    if entry.tags:
        message.tags.update(entry.tags)
    message.offset = entry.offset
    message.score = entry.score
    message.removed = entry.removed
    message.time = entry.time_ms


async def _write_map_read(message: Any, result: MapReadResult) -> None:
    message.offset = result.offset
    message.epoch = result.epoch
    if result.cursor:
        message.cursor = result.cursor
    time_slice = TimeSlice()
    for entry in result.entries:
        _write_map_entry(message.entries.add(), entry)
        if time_slice.is_over():
            await time_slice.renew()


async def _write_map_stats(message: schema.MapStatsResult, result: MapStatsResult) -> None:
    message.num_keys = result.num_keys


_WRITERS: dict[type[Result], Callable[[Any, Any], Any]] = {
    PublishResult: _write_publish,
    BroadcastResult: _write_broadcast,
    PresenceResult: _write_presence,
    PresenceStatsResult: _write_presence_stats,
    HistoryResult: _write_history,
    InfoResult: _write_info,
    ChannelsResult: _write_channels,
    MapChangeResult: _write_map_change,
    MapReadResult: _write_map_read,
    MapStatsResult: _write_map_stats,
}
"""By type; results without a writer have no fields."""
