"""Writes results of the server API as JSON: zero values are left out, except those that the wire always has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..model import ClientInfo, Publication
from ..node.publication_format import is_json
from .errors import ApiError
from .methods import METHODS, Reply
from .results import (
    EMPTY,
    BroadcastResult,
    ChannelsResult,
    HistoryResult,
    MapReadResult,
    Outcome,
    PresenceResult,
    PublishResult,
    Result,
)
from .time_slice import TimeSlice

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode

EMPTY_JSON = b"{}"
_STARTS = {name: b'{"%b":' % name.encode() for name in METHODS}
"""How replies of batches begin."""

ENTRIES_AT_ONCE = 200
"""So many presence entries are encoded in one go: about a tenth of a millisecond."""


class NotJson(Exception):
    """A payload that is not JSON text cannot be part of a JSON answer."""


class _ClientInfo(msgspec.Struct, omit_defaults=True, gc=False):
    user: str
    client: str
    conn_info: Raw | UnsetType = UNSET
    chan_info: Raw | UnsetType = UNSET


class _Publication(msgspec.Struct, omit_defaults=True, gc=False):
    data: Raw | UnsetType = UNSET
    info: _ClientInfo | UnsetType = UNSET
    offset: int = 0
    tags: dict[str, str] | UnsetType = UNSET


def _embedded(payload: bytes) -> Raw | UnsetType:
    """Returns a payload as part of the answer; publishers over Protobuf and Base64 may send anything."""
    if not payload:
        return UNSET
    if not is_json(payload):
        raise NotJson
    return Raw(payload)


def _client_info(info: ClientInfo) -> _ClientInfo:
    if not info.conn_info and not info.chan_info:
        return _ClientInfo(info.user, info.client)
    return _ClientInfo(info.user, info.client, _embedded(info.conn_info), _embedded(info.chan_info))


def _publication_json(publication: Publication) -> bytes:
    info = publication.info
    return _encode(
        _Publication(
            _embedded(publication.data),
            UNSET if info is None else _client_info(info),
            publication.offset,
            publication.tags or UNSET,
        )
    )


class _MapEntry(msgspec.Struct, omit_defaults=True, gc=False):
    key: str = ""
    data: Raw | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    offset: int = 0
    score: int = 0
    removed: bool = False
    time: int = 0


def _map_entry_json(entry: Publication) -> bytes:
    return _encode(
        _MapEntry(
            entry.key,
            _embedded(entry.data),
            entry.tags or UNSET,
            entry.offset,
            entry.score,
            entry.removed,
            entry.time_ms,
        )
    )


async def _map_read_json(result: MapReadResult) -> bytes:
    parts = []
    if result.entries:
        parts.append(b'"entries":[%b]' % await _joined(result.entries, _map_entry_json))
    if result.offset:
        parts.append(b'"offset":%d' % result.offset)
    for name, text in ((b"epoch", result.epoch), (b"cursor", result.cursor)):
        if text:
            parts.append(b'"%b":%b' % (name, _encode(text)))
    return b"{%b}" % b",".join(parts)


async def _presence_json(presence: dict[str, ClientInfo]) -> bytes:
    """Encodes many at a time, which costs half of doing it one by one."""
    parts = []
    time_slice = TimeSlice()
    entries = iter(presence.items())
    while some := {client: _client_info(info) for client, info in islice(entries, ENTRIES_AT_ONCE)}:
        parts.append(_encode(some)[1:-1])
        if time_slice.is_over():
            await time_slice.renew()
    return b",".join(parts)


def _channel_json(entry: tuple[str, int]) -> bytes:
    name, num_clients = entry
    return b"%b:%b" % (_encode(name), b'{"num_clients":%d}' % num_clients if num_clients else EMPTY_JSON)


def _response_json(response: PublishResult | ApiError) -> bytes:
    return b'{"%b":%b}' % (b"error" if isinstance(response, ApiError) else b"result", _encode(response))


async def _joined(items: Iterable[T], encode: Callable[[T], bytes]) -> bytes:
    """Encodes many items, separated by commas, without holding the event loop."""
    parts = []
    time_slice = TimeSlice()
    for item in items:
        parts.append(encode(item))
        if time_slice.is_over():
            await time_slice.renew()
    return b",".join(parts)


def encode_short(result: Outcome) -> bytes | None:
    """Returns a result as a JSON object, None if it is one for encode_result(), or an error."""
    if type(result) is PublishResult:
        return _encode(result) if result.epoch or result.offset else EMPTY_JSON
    return EMPTY_JSON if result is EMPTY else None


async def encode_result(result: Result) -> bytes:
    """Returns a result as a JSON object.

    Raises:
        NotJson: it has a payload that is not JSON.
    """
    short = encode_short(result)
    if short is not None:
        return short
    if isinstance(result, BroadcastResult):
        return b'{"responses":[%b]}' % await _joined(result.responses, _response_json)
    if isinstance(result, HistoryResult):
        publications = await _joined(result.publications, _publication_json)
        return b'{"publications":[%b],"epoch":%b,"offset":%d}' % (publications, _encode(result.epoch), result.offset)
    if isinstance(result, MapReadResult):
        return await _map_read_json(result)
    if isinstance(result, PresenceResult):
        return b'{"presence":{%b}}' % await _presence_json(result.presence)
    if isinstance(result, ChannelsResult):
        return b'{"channels":{%b}}' % await _joined(result.channels.items(), _channel_json)
    return _encode(result)


def encode_error(error: ApiError) -> bytes:
    """Returns an error as a JSON object."""
    return _encode(error)


async def encode_replies(replies: list[Reply], on_not_json: Callable[[str], ApiError]) -> bytes:
    """Returns the answer to a batch.

    Args:
        replies: in the order of the commands.
        on_not_json: gives the error of a command (named by its method) whose result is not JSON; the others are kept.
    """
    if not replies:
        return EMPTY_JSON
    parts = []
    time_slice = TimeSlice()
    for reply in replies:
        method, outcome = reply.method, reply.outcome
        if not isinstance(outcome, ApiError):
            try:
                encoded = encode_short(outcome)
                parts.append(_STARTS[method] + (encoded or await encode_result(outcome)) + b"}")
            except NotJson:
                outcome = on_not_json(method)
        if isinstance(outcome, ApiError):
            parts.append(b'{"error":%b}' % _encode(outcome))
        if time_slice.is_over():
            await time_slice.renew()
    return b'{"replies":[%b]}' % b",".join(parts)


def encode_members(members: dict[str, Any]) -> bytes:
    """Returns a small object as JSON; values may be Raw."""
    return _encode(members)
