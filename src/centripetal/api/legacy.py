"""The legacy endpoint: one or more JSON commands back to back in one body, each with a method and its parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from .errors import BAD_REQUEST, NOT_FOUND, ApiError
from .json_requests import BadBody, decode_json, decode_request
from .json_results import encode_error, encode_members, encode_result
from .methods import METHODS, Methods
from .requests import InfoRequest, Int64, Request, Uint32
from .results import Result
from .time_slice import TimeSlice

MAX_LEGACY_COMMANDS = 100_000
"""More commands than this in one body are refused (HTTP 400) after the first ones have run."""

_UNAVAILABLE_METHODS = {
    "connections": 14, "update_user_status": 15, "get_user_status": 16, "delete_user_status": 17, "block_user": 18,
    "unblock_user": 19, "revoke_token": 20, "invalidate_user_tokens": 21, "device_register": 22, "device_update": 23,
    "device_remove": 24, "device_list": 25, "device_topic_list": 26, "device_topic_update": 27,
    "user_topic_list": 28, "user_topic_update": 29, "send_push_notification": 30, "update_push_status": 31,
    "cancel_push": 32,
}  # fmt: skip
"""Names that are commands, but error 104: their numbers are taken."""

_NUMBERS = {**_UNAVAILABLE_METHODS, **{method.name: method.number for method in METHODS.values()}}
_NAMES = {method.number: method.name for method in METHODS.values()}


class LegacyCommand(Request):
    """One command; without a method it is number 0, publish."""

    id: Uint32 | None = 0
    method: str | Int64 = 0
    params: Raw = Raw()


_decoder = msgspec.json.Decoder(LegacyCommand)
_find_end = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\r\n]*")


def split_values(text: str) -> Iterator[str]:
    """Splits JSON values that follow each other, with or without white space between them.

    Raises:
        BadBody: what comes next is no JSON.
    """
    position = _space.match(text).end()  # type: ignore[union-attr]  # it matches anything
    while position < len(text):
        try:
            end = _find_end(text, position)[1]
        except (ValueError, RecursionError):
            raise BadBody("not JSON") from None
        yield text[position:end]
        position = _space.match(text, end).end()  # type: ignore[union-attr]


def _commands(body: bytes) -> Iterator[LegacyCommand]:
    """Decodes one command after the other; garbage is found only when it is its turn."""
    try:
        only: LegacyCommand = decode_json(_decoder, body)
    except BadBody:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise BadBody("not UTF-8") from None
        for value in split_values(text):
            yield decode_json(_decoder, value)
    else:
        yield only


def _method_name(method: str | int) -> str | None:
    """Returns the name of a method, None for one that cannot be called here."""
    if isinstance(method, int):
        return _NAMES.get(method)
    number = _NUMBERS.get(method.lower())
    if number is None:
        raise BadBody("unknown method")
    return _NAMES.get(number)


async def _reply(methods: Methods, command: LegacyCommand) -> bytes:
    name = _method_name(command.method)
    outcome: Result | ApiError
    if name is None:
        outcome = NOT_FOUND
    elif name == "info":
        outcome = await methods.call(name, InfoRequest())
    else:
        try:
            request = decode_request(name, command.params)
        except BadBody:
            outcome = BAD_REQUEST
        else:
            outcome = await methods.call(name, request)
    members: dict[str, object] = {"id": command.id} if command.id else {}
    if isinstance(outcome, ApiError):
        members["error"] = Raw(encode_error(outcome))
    else:
        members["result"] = Raw(await encode_result(outcome))
    return encode_members(members)


async def answer(methods: Methods, body: bytes) -> bytes:
    """Runs the commands of a body in order.

    Args:
        methods: what they call.
        body: the JSON commands.

    Returns:
        One reply per command, separated by newlines.

    Raises:
        BadBody: there is no command, or something that is none follows the commands that have run.
        NotJson: a result has a payload that is not JSON.
    """
    replies: list[bytes] = []
    time_slice = TimeSlice()
    for command in _commands(body):
        if len(replies) == MAX_LEGACY_COMMANDS:
            raise BadBody(f"More than {MAX_LEGACY_COMMANDS} commands")
        replies.append(await _reply(methods, command))
        if time_slice.is_over():
            await time_slice.renew()
    if not replies and not body:
        raise BadBody("no command")
    return b"\n".join(replies)
