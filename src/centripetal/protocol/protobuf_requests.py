"""Requests made from Protobuf messages; the protobuf library does the parsing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from msgspec import Raw

from . import commands
from .errors import ProtocolError
from .schema.client_pb2 import Command

_parse = Command.FromString


def decode_command(message: bytes) -> commands.Command:
    """Returns the command in a Protobuf message without its length.

    Raises:
        ProtocolError: it is malformed, holds text that is not UTF-8, or is nested too deep (more than 100).
    """
    try:
        parsed = _parse(message)
    except DecodeError as error:
        raise ProtocolError("the command is malformed") from error
    fields = {}
    for descriptor, value in parsed.ListFields():
        name = descriptor.name
        fields[name] = value if name == "id" else _request(_REQUESTS[name], value)
    return commands.Command(**fields)


def _request(kind: type[Any], message: Any) -> Any:
    converters = _CONVERTERS[kind]
    fields = {}
    for descriptor, value in message.ListFields():
        name = descriptor.name
        convert = converters.get(name)
        fields[name] = convert(value) if convert is not None else value
    return kind(**fields)


def _one(kind: type[Any]) -> Callable[[Any], Any]:
    return lambda message: _request(kind, message)


def _many(kind: type[Any]) -> Callable[[Any], Any]:
    return lambda messages: tuple([_request(kind, message) for message in messages])


def _by_name(kind: type[Any]) -> Callable[[Any], Any]:
    return lambda messages: {name: _request(kind, message) for name, message in messages.items()}


_REQUESTS: dict[str, type[Any]] = {
    "connect": commands.ConnectRequest,
    "subscribe": commands.SubscribeRequest,
    "unsubscribe": commands.UnsubscribeRequest,
    "publish": commands.PublishRequest,
    "presence": commands.PresenceRequest,
    "presence_stats": commands.PresenceStatsRequest,
    "history": commands.HistoryRequest,
    "ping": commands.PingRequest,
    "send": commands.SendRequest,
    "rpc": commands.RpcRequest,
    "refresh": commands.RefreshRequest,
    "sub_refresh": commands.SubRefreshRequest,
}

# How the fields that need it become what the requests hold; all others are taken as they are.
_CONVERTERS: dict[type[Any], dict[str, Callable[[Any], Any]]] = {
    **{kind: {} for kind in _REQUESTS.values()},
    commands.ConnectRequest: {"data": Raw, "subs": _by_name(commands.SubscribeRequest), "headers": dict},
    commands.SubscribeRequest: {"data": Raw, "tf": _one(commands.FilterNode)},
    commands.PublishRequest: {"data": Raw},
    commands.SendRequest: {"data": Raw},
    commands.RpcRequest: {"data": Raw},
    commands.HistoryRequest: {"since": _one(commands.StreamPositionRequest)},
    commands.StreamPositionRequest: {},
    commands.FilterNode: {"vals": tuple, "nodes": _many(commands.FilterNode)},
    commands.SubRefreshRequest: {"track": _many(commands.TrackBatch), "untrack": tuple},
    commands.TrackBatch: {"items": _many(commands.KeyedItem)},
    commands.KeyedItem: {},
}
