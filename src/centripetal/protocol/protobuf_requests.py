"""Requests made from Protobuf messages; the protobuf library does the parsing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from google.protobuf.message import DecodeError
from msgspec import Raw

from . import commands
from .errors import ProtocolError
from .schema import client_pb2 as schema

MAX_FILTER_NODES = 2000
"""Nodes of one tag filter. Two bytes make a node, which costs a thousand times as much as reading them."""

_parse = schema.Command.FromString


def decode_command(message: bytes) -> commands.Command:
    """Returns the command in a Protobuf message without its length.

    Raises:
        ProtocolError: it is malformed, holds text that is not UTF-8, is nested too deep (more than 100), or has too
            many filter nodes or track batches.
    """
    try:
        parsed = _parse(message)
    except DecodeError as error:
        raise ProtocolError("the command is malformed") from error
    fields = {}
    for descriptor, value in parsed.ListFields():
        name = descriptor.name
        fields[name] = value if name == "id" else _READERS[name](value)
    return commands.Command(**fields)


def decode_emulation(body: bytes) -> commands.EmulationRequest:
    """Returns the emulation request in a Protobuf message.

    Raises:
        ProtocolError: it is malformed.
    """
    try:
        parsed = schema.EmulationRequest.FromString(body)
    except DecodeError as error:
        raise ProtocolError("the request is malformed") from error
    return commands.EmulationRequest(node=parsed.node, session=parsed.session, data=parsed.data)


# One function for each message, with direct attribute access: three times as fast as a generic walk over the fields.


def _connect(message: schema.ConnectRequest) -> commands.ConnectRequest:
    subs, headers = message.subs, message.headers
    return commands.ConnectRequest(
        token=message.token,
        data=Raw(message.data),
        subs={channel: _position(request) for channel, request in subs.items()} if subs else {},
        name=message.name,
        version=message.version,
        headers=dict(headers) if headers else {},
        flag=message.flag,
        profile=message.profile,
        dict=message.dict,
    )


def _position(message: schema.SubscribeRequest) -> commands.SubscribeRequest:
    """A value of `connect.subs`; only what counts there, as there may be thousands."""
    return commands.SubscribeRequest(
        recover=message.recover,
        epoch=message.epoch,
        offset=message.offset,
        delta=message.delta,
        flag=message.flag,
    )


def _subscribe(message: schema.SubscribeRequest) -> commands.SubscribeRequest:
    return commands.SubscribeRequest(
        channel=message.channel,
        token=message.token,
        recover=message.recover,
        epoch=message.epoch,
        offset=message.offset,
        data=Raw(message.data),
        positioned=message.positioned,
        recoverable=message.recoverable,
        join_leave=message.join_leave,
        delta=message.delta,
        tf=_filter(message.tf, count()) if message.HasField("tf") else None,
        flag=message.flag,
        type=message.type,
        phase=message.phase,
        cursor=message.cursor,
        limit=message.limit,
        asc=message.asc,
    )


def _filter(message: schema.FilterNode, counter: Iterator[int]) -> commands.FilterNode:
    if next(counter) >= MAX_FILTER_NODES:
        raise ProtocolError("the tag filter has too many nodes")
    return commands.FilterNode(
        op=message.op,
        key=message.key,
        cmp=message.cmp,
        val=message.val,
        vals=tuple(message.vals),
        nodes=tuple([_filter(node, counter) for node in message.nodes]),
    )


def _unsubscribe(message: schema.UnsubscribeRequest) -> commands.UnsubscribeRequest:
    return commands.UnsubscribeRequest(message.channel)


def _publish(message: schema.PublishRequest) -> commands.PublishRequest:
    return commands.PublishRequest(
        channel=message.channel,
        data=Raw(message.data),
        type=message.type,
        key=message.key,
        removed=message.removed,
    )


def _presence(message: schema.PresenceRequest) -> commands.PresenceRequest:
    return commands.PresenceRequest(message.channel)


def _presence_stats(message: schema.PresenceStatsRequest) -> commands.PresenceStatsRequest:
    return commands.PresenceStatsRequest(message.channel)


def _history(message: schema.HistoryRequest) -> commands.HistoryRequest:
    since = None
    if message.HasField("since"):
        since = commands.StreamPositionRequest(offset=message.since.offset, epoch=message.since.epoch)
    return commands.HistoryRequest(
        channel=message.channel, limit=message.limit, since=since, reverse=message.reverse
    )


def _ping(message: schema.PingRequest) -> commands.PingRequest:
    return commands.PingRequest()


def _send(message: schema.SendRequest) -> commands.SendRequest:
    return commands.SendRequest(Raw(message.data))


def _rpc(message: schema.RPCRequest) -> commands.RpcRequest:
    return commands.RpcRequest(data=Raw(message.data), method=message.method)


def _refresh(message: schema.RefreshRequest) -> commands.RefreshRequest:
    return commands.RefreshRequest(message.token)


def _sub_refresh(message: schema.SubRefreshRequest) -> commands.SubRefreshRequest:
    if len(message.track) > commands.MAX_TRACK_BATCHES:
        raise ProtocolError("there are too many track batches")
    return commands.SubRefreshRequest(
        channel=message.channel,
        token=message.token,
        type=message.type,
        track=tuple([_track(batch) for batch in message.track]),
        untrack=tuple(message.untrack),
    )


def _track(message: schema.TrackBatch) -> commands.TrackBatch:
    items = tuple([commands.KeyedItem(key=item.key, version=item.version) for item in message.items])
    return commands.TrackBatch(signature=message.signature, items=items)


_READERS: dict[str, Callable[[Any], Any]] = {
    "connect": _connect,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "publish": _publish,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "history": _history,
    "ping": _ping,
    "send": _send,
    "rpc": _rpc,
    "refresh": _refresh,
    "sub_refresh": _sub_refresh,
}
