"""Reads JSON bodies of the server API."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from .errors import BAD_REQUEST, NOT_FOUND
from .methods import MAX_BATCH_COMMANDS, METHODS, Command
from .requests import Request
from .time_slice import TimeSlice


class BadBody(Exception):
    """A body is not what it should be (HTTP 400). The text says where, without the caller's data."""


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    method.name: msgspec.json.Decoder(method.request) for method in METHODS.values()
}
_BatchCommand = msgspec.defstruct(
    "_BatchCommand",
    [(method.name, method.request | None, None) for method in METHODS.values()],
    gc=False,
)
"""The request of one command, under its method's name."""
_command_decoder = msgspec.json.Decoder(_BatchCommand | None)


class LongBatch(Request):
    """Several commands (wire name `BatchRequest`); `parallel` lets them overlap."""

    commands: list[Raw] | None = None
    parallel: bool | None = False


_ShortBatch = msgspec.defstruct(
    "_ShortBatch", [("commands", list[_BatchCommand | None] | None, None), ("parallel", bool | None, False)]  # type: ignore[valid-type]
)
_long_batch_decoder = msgspec.json.Decoder(LongBatch)
_short_batch_decoder = msgspec.json.Decoder(_ShortBatch)

SHORT_BATCH_BYTES = 32_768
"""A batch that is not longer is decoded in one go, which takes milliseconds at worst; a longer one command by command."""


def decode_json(decoder: msgspec.json.Decoder[Any], text: bytes | str | Raw) -> Any:
    """Decodes one JSON value, nothing but white space around it.

    Args:
        decoder: for an object; `null` is the same as an empty one.
        text: the value; bytes have to be UTF-8.

    Raises:
        BadBody: it is not JSON, not UTF-8, of a wrong shape, or nested too deeply.
    """
    try:
        if isinstance(text, bytes) and not text.isascii():
            text.decode()  # payloads are not looked into otherwise, and go on to text frames of others
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if _is_null(text):
            return decoder.decode(b"{}")
        raise BadBody(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # UnicodeDecodeError's own text quotes the body.
        raise BadBody("not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)) from None


def _is_null(text: bytes | str | Raw) -> bool:
    return (text.strip() == "null") if isinstance(text, str) else (bytes(text).strip() == b"null")


def decode_request(method: str, body: bytes | str | Raw) -> Request:
    """Decodes the request of one method; raises as decode_json()."""
    request: Request = decode_json(_DECODERS[method], body)
    return request


def _command_of(requests: Any) -> Command:
    if requests is None:
        return Command("", error=BAD_REQUEST)
    for name in METHODS:
        request = getattr(requests, name)
        if request is not None:
            return Command(name, request)
    return Command("", error=NOT_FOUND)


async def decode_batch(body: bytes) -> tuple[list[Command], bool]:
    """Decodes a batch, so that a mistake in any command is found before the first one runs.

    Returns:
        The commands, and whether they may overlap.

    Raises:
        BadBody: as decode_json(), or there are more than MAX_BATCH_COMMANDS.
    """
    if len(body) <= SHORT_BATCH_BYTES:
        short = decode_json(_short_batch_decoder, body)
        return [_command_of(requests) for requests in short.commands or ()], bool(short.parallel)
    batch: LongBatch = decode_json(_long_batch_decoder, body)
    raw_commands = batch.commands or []
    if len(raw_commands) > MAX_BATCH_COMMANDS:
        raise BadBody(f"More than {MAX_BATCH_COMMANDS} commands")
    commands = []
    time_slice = TimeSlice()
    for raw in raw_commands:
        commands.append(_command_of(decode_json(_command_decoder, raw)))
        if time_slice.is_over():
            await time_slice.renew()
    return commands, bool(batch.parallel)
