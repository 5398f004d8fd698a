"""Reads Protobuf messages of the server API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, Message

from ...protocol.protobuf_structs import Reader, struct_reader
from ..errors import NOT_FOUND
from ..methods import MAX_BATCH_COMMANDS, METHODS, Command
from ..requests import Request
from ..time_slice import TimeSlice
from .schema import api_pb2 as schema


class BadMessage(Exception):
    """A message is not what it should be. The text says why, without the caller's data."""


def wire_name(method: str) -> str:
    """Returns the name of a method on the wire: `presence_stats` is `PresenceStats`."""
    return "RPC" if method == "rpc" else "".join(word.capitalize() for word in method.split("_"))


_READERS: dict[str, Reader] = {method.name: struct_reader(method.request) for method in METHODS.values()}
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
