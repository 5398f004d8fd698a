"""Checks of JSON text that others wrote: valid, UTF-8, and nested no deeper than a fixed bound."""

from __future__ import annotations

import re
from itertools import accumulate

import msgspec

from .errors import UnencodableData

MAX_DEPTH = 512
"""Deepest nesting taken in and given out.

Fixed, and half of Python's recursion limit, so that what came in at one place is never refused at another for the
stack being deeper there.
"""

NEWLINE = 0x0A
"""As a number: to look for `b"\\n"` costs seven times as much, since bytes are first tried as a number, and fail."""

# Possessive, and an unfinished string ends with the text: so it never goes back, whatever it is given.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STEPS = {bracket: 1 if bracket in b"[{" else -1 for bracket in _BRACKETS}

_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def is_too_deep(text: bytes) -> bool:
    """Tells whether JSON text is nested deeper than MAX_DEPTH; free for short text, never recursive."""
    if len(text) <= MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH


def is_utf8(text: bytes) -> bool:
    """Tells whether bytes are valid UTF-8."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_json(text: bytes) -> bool:
    """Tells whether bytes are one JSON value in UTF-8, not nested too deep; numbers may be of any size."""
    if (len(text) > MAX_DEPTH and is_too_deep(text)) or not (text.isascii() or is_utf8(text)):
        return False
    try:
        _decode_raw(text)
    except (msgspec.DecodeError, RecursionError):
        return b"\\u" in text and _is_json_but_for_surrogates(text)
    return True


def embed(text: bytes) -> bytes:
    """Returns JSON text as it goes into a message: without newlines, which can only be white space in valid JSON.

    Raises:
        UnencodableData: it is not valid JSON.
    """
    if not is_json(text):
        raise UnencodableData("the payload is not valid JSON")
    return text.replace(b"\n", b"") if NEWLINE in text else text


def replace_lone_surrogates(text: bytes) -> bytes:
    r"""Returns JSON text with `\ufffd` for each escaped half of a surrogate pair, as UTF-8 cannot carry those."""
    return _ESCAPE.sub(_replace_lone_surrogate, text)


def _replace_lone_surrogate(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match.lastindex == 2 else match[0]


def _is_json_but_for_surrogates(text: bytes) -> bool:
    """JavaScript cuts strings between surrogates and escapes the half; that is valid JSON and goes through."""
    try:
        _decode_raw(replace_lone_surrogates(text))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
