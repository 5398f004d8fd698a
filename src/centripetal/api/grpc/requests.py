"""Reads Protobuf messages of the server API: a table of readers, made of the requests' own fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message
from msgspec import Raw

from ..errors import NOT_FOUND
from ..methods import MAX_BATCH_COMMANDS, METHODS, Command
from ..requests import Request
from ..time_slice import TimeSlice
from .schema import api_pb2 as schema

Reader = Callable[[Any], Any]


class BadMessage(Exception):
    """A message is not what it should be. The text says why, without the caller's data."""


def wire_name(method: str) -> str:
    """Returns the name of a method on the wire: `presence_stats` is `PresenceStats`."""
    return "RPC" if method == "rpc" else "".join(word.capitalize() for word in method.split("_"))


def _reader(request: type[msgspec.Struct]) -> Reader:
    """Returns a function that makes a request of a message: only fields that are set cost anything."""
    info = msgspec.inspect.type_info(request)
    assert isinstance(info, msgspec.inspect.StructType)
    readers = {field.name: _field_reader(field.type) for field in info.fields}

    def read(message: Message) -> msgspec.Struct:
        fields: dict[str, Any] = {}
        for descriptor, value in message.ListFields():
            name = descriptor.name
            reader = readers[name]
            fields[name] = value if reader is None else reader(value)
        return request(**fields)

    return read


def _field_reader(kind: msgspec.inspect.Type) -> Reader | None:
    """Returns what turns a field's value into that of the request, None for nothing."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    for part in kinds:
        if isinstance(part, msgspec.inspect.RawType):
            return Raw
        if isinstance(part, msgspec.inspect.StructType):
            return _reader(part.cls)
        if isinstance(part, msgspec.inspect.ListType):
            return list
        if isinstance(part, msgspec.inspect.DictType):
            return dict if not isinstance(part.value_type, msgspec.inspect.RawType) else _presence
    return None


def _presence(_value: Any) -> dict[str, Raw]:
    """A message of which only its presence is looked at."""
    return {}


_READERS: dict[str, Reader] = {method.name: _reader(method.request) for method in METHODS.values()}
_PARSERS: dict[str, Callable[[bytes], Message]] = {
    name: getattr(schema, f"{wire_name(name)}Request").FromString for name in METHODS
}


def _parse(parse: Callable[[bytes], Any], message: bytes) -> Any:
    try:
        return parse(message)
    except DecodeError:
        raise BadMessage("the request cannot be parsed") from None


def decode_request(method: str, message: bytes) -> Request:
    """Decodes the request of one method.

    Args:
        method: in METHODS.
        message: the Protobuf message.

    Raises:
        BadMessage: it is malformed, holds text that is not UTF-8, or is nested deeper than 100 messages.
    """
    request: Request = _READERS[method](_parse(_PARSERS[method], message))
    return request


def _decode_command(message: bytes) -> Command:
    calls = {field.name: value for field, value in _parse(schema.Command.FromString, message).ListFields()}
    for name in METHODS if len(calls) > 1 else tuple(calls):
        if name in calls and name in METHODS:
            return Command(name, _READERS[name](calls[name]))
    return Command("", error=NOT_FOUND)


async def decode_batch(message: bytes) -> tuple[list[Command], bool]:
    """Decodes a batch, so that a mistake in any call is found before the first one runs.

    Returns:
        The calls, and whether they may overlap.

    Raises:
        BadMessage: as decode_request(), or there are more than MAX_BATCH_COMMANDS.
    """
    batch = _parse(schema.UndecodedBatch.FromString, message)
    if len(batch.commands) > MAX_BATCH_COMMANDS:
        raise BadMessage(f"more than {MAX_BATCH_COMMANDS} commands")
    commands = []
    time_slice = TimeSlice()
    for command in batch.commands:
        commands.append(_decode_command(command))
        if time_slice.is_over():
            await time_slice.renew()
    return commands, batch.parallel
