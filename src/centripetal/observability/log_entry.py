"""One log entry: its fields bounded, escaped and free of secrets, as a JSON line or as a line for people."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import msgspec

MAX_VALUE_CHARS = 256
MAX_EXCEPTION_CHARS = 16_384
MAX_ITEMS = 16
MAX_FIELDS = 32
MAX_DEPTH = 3

SECRET_FIELDS = frozenset({
    "api_key", "authorization", "body", "cookie", "data", "hmac_secret_key", "password", "payload", "secret",
    "session", "token",
})
"""Fields whose values are never written, whoever logs them."""

LEVEL_NAMES = {
    "trace": "trace", "debug": "debug", "info": "info", "warning": "warn", "warn": "warn", "error": "error",
    "exception": "error", "critical": "fatal", "fatal": "fatal",
}
"""Level names as Centrifugo v6 prints them, by method of the logger."""

_CONSOLE_LEVELS = {
    "trace": ("TRC", 34), "debug": ("DBG", 35), "info": ("INF", 32), "warn": ("WRN", 33), "error": ("ERR", 31),
    "fatal": ("FTL", 31),
}

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Entry = MutableMapping[str, Any]


def escape(text: str) -> str:
    """Returns the text with control, formatting and unencodable characters replaced by their escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def bound_text(text: str, max_chars: int = MAX_VALUE_CHARS) -> str:
    """Returns the text escaped, and cut with the number of missing characters at its end if it is long."""
    if len(text) > max_chars:
        return f"{escape(text[:max_chars])}…(+{len(text) - max_chars})"
    return escape(text)


def bound_value(value: Any, depth: int = 0) -> Any:
    """Returns a value that is safe and small enough to write.

    Args:
        value: anything; bytes become their length, objects their text.
        depth: how many containers it is in.
    """
    if isinstance(value, str):
        return bound_text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else hex(value)[:MAX_VALUE_CHARS]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return {
                bound_text(str(name)): hide_secret(str(name), inner, depth + 1)
                for name, inner in list(value.items())[:MAX_ITEMS]
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [bound_value(inner, depth + 1) for inner in list(value)[:MAX_ITEMS]]
    try:
        return bound_text(str(value))
    except Exception as error:  # noqa: BLE001 - any object's __str__ may fail; its entry is still worth writing.
        return f"<{type(value).__name__}: {type(error).__name__}>"


def hide_secret(name: str, value: Any, depth: int = 0) -> Any:
    """Returns the value to write in a field of that name."""
    if value and name in SECRET_FIELDS:
        return "[hidden]"
    return bound_value(value, depth)


def bound_entry(_logger: Any, method: str, entry: Entry) -> Entry:
    """Processor: gives the entry its level, time and message, in the names and order of Centrifugo v6."""
    message = entry.pop("event", "")
    trace = _exception_text(entry.pop("exc_info", None))
    bounded: dict[str, Any] = {"level": LEVEL_NAMES.get(method, method)}
    for name, value in list(entry.items())[:MAX_FIELDS]:
        bounded[escape(name)] = hide_secret(name, value)
    if trace:
        bounded["exception"] = trace
    bounded["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    bounded["message"] = bound_text(str(message))
    return bounded


def _exception_text(wanted: Any) -> str:
    if not wanted:
        return ""
    if isinstance(wanted, BaseException):
        info: Any = (type(wanted), wanted, wanted.__traceback__)
    elif isinstance(wanted, tuple):
        info = wanted
    else:
        info = sys.exc_info()
    if info[0] is None:
        return ""
    lines = "".join(traceback.format_exception(*info, limit=-30)).splitlines()
    text = "\n".join(bound_text(line) for line in lines)
    return text if len(text) <= MAX_EXCEPTION_CHARS else "…" + text[-MAX_EXCEPTION_CHARS:]


def render_json(_logger: Any, _method: str, entry: Entry) -> str:
    """Processor: makes a JSON line of a bounded entry."""
    return msgspec.json.encode(entry).decode() + "\n"


class ConsoleRenderer:
    """Processor: makes a line for people of a bounded entry; a traceback follows on lines of its own."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, _logger: Any, _method: str, entry: Entry) -> str:
        """Returns the line."""
        name, color = _CONSOLE_LEVELS.get(entry.pop("level"), ("???", 31))
        label = f"\x1b[{color}m{name}\x1b[0m" if self._colors else name
        moment = entry.pop("time").replace("T", " ").rstrip("Z")
        message, trace = entry.pop("message"), entry.pop("exception", "")
        fields = "".join(f" {field}={self._text(value)}" for field, value in entry.items())
        return f"{moment} [{label}] {message}{fields}\n" + (trace + "\n" if trace else "")

    def _text(self, value: Any) -> str:
        if isinstance(value, str) and value and not set(value) & {" ", '"', "="}:
            return value
        return msgspec.json.encode(value).decode()
