"""From what stands in a file, a variable or a flag to the value of an option."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from centripetal.model.duration import MAX_NANOSECONDS, parse_duration

from .errors import ConfigError
from .options import Option

MAX_LIST_ITEMS = 10_000
_MAX_SHOWN = 80
_USER_INFO = re.compile(r"://[^/@\s\"]*@")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_OLD_OCTAL = re.compile(r"([-+]?)0([0-7_]+)")
_MAX_INTEGER_TEXT = 80
_EXPECTED = {
    "bool": "true or false",
    "integer": "a whole number",
    "duration": 'a duration such as "10s", "300ms" or "1h30m"',
    "text": "a text (put it in quotes)",
    "texts": "a list of texts",
    "map": 'an object of texts, or a list of {"key": ..., "value": ...}',
}


def refuse(where: str, option: Option, raw: object, expected: str = "") -> ConfigError:
    """Returns the error for a value that an option cannot have.

    Args:
        where: the option's path, or the name of the variable or flag.
        expected: what would be right; by default what the option's kind says.
    """
    expected = expected or _EXPECTED[option.kind]
    if option.choices:
        expected = "one of " + ", ".join(f'"{choice}"' for choice in option.choices)
    shown = "the value" if option.secret else show(raw)
    return ConfigError(f"{where}: {shown} is not {expected}")


def show(raw: object) -> str:
    """Returns a value as JSON for a message, shortened and without user names and passwords of addresses."""
    text = _USER_INFO.sub("://***@", json.dumps(raw, ensure_ascii=False, default=str))
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def read_value(option: Option, raw: object, where: str) -> Any:
    """Returns the option's value from a value of a file.

    Texts may hold numbers, durations and booleans, a lone text may stand for a list of one, a bare number as a
    duration is nanoseconds.

    Raises:
        ConfigError: it cannot be one.
    """
    if isinstance(raw, str) and option.kind not in ("text", "texts", "map"):
        return read_text(option, raw, where) if raw.strip() else type(option.default)()
    value = _READERS[option.kind](raw)
    if value is None:
        raise refuse(where, option, raw)
    return _checked(option, value, raw, where)


def read_text(option: Option, text: str, where: str) -> Any:
    """Returns the option's value from the text of a variable or flag.

    Raises:
        ConfigError: it cannot be one.
    """
    value: Any = text
    if option.kind == "bool":
        value = True if text in _TRUE else False if text in _FALSE else None
    elif option.kind == "integer":
        value = _integer_of_text(text)
    elif option.kind == "duration":
        try:
            value = parse_duration(text)
        except ValueError:
            value = None
    elif option.kind == "texts":
        value = tuple(text.split(" ")) if text.strip() else ()
    elif option.kind == "map":
        try:
            value = _map(json.loads(text))
        except (ValueError, RecursionError):
            value = None
    if value is None:
        raise refuse(where, option, text)
    return _checked(option, value, text, where)


def _checked(option: Option, value: Any, raw: object, where: str) -> Any:
    if option.kind == "integer" and not option.minimum <= value <= option.maximum:
        raise refuse(where, option, raw, f"a number from {option.minimum} to {option.maximum}")
    if option.choices and value not in option.choices and value != "":
        raise refuse(where, option, raw)
    return value


def _bool(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int) and raw in (0, 1):
        return raw == 1
    return None


def _integer(raw: object) -> int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, float):
        return int(raw) if raw.is_integer() and abs(raw) < 2.0**63 else None
    return raw if isinstance(raw, int) else None


def _integer_of_text(text: str) -> int | None:
    if len(text) > _MAX_INTEGER_TEXT:
        return None
    old = _OLD_OCTAL.fullmatch(text)
    try:
        return int(f"{old[1]}0o{old[2]}" if old else text, 0)
    except ValueError:
        return None


def _duration(raw: object) -> float | None:
    nanoseconds = _integer(raw)
    if nanoseconds is None or abs(nanoseconds) > MAX_NANOSECONDS:
        return None
    return nanoseconds / 1e9


def _text(raw: object) -> str | None:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    return raw if isinstance(raw, str) else None


def _texts(raw: object) -> tuple[str, ...] | None:
    if not isinstance(raw, list):
        single = _text(raw)
        return None if single is None else (single,) if single else ()
    if len(raw) > MAX_LIST_ITEMS:
        return None
    texts = [_text(item) for item in raw]
    return None if None in texts else tuple(text for text in texts if text is not None)


def _map(raw: object) -> dict[str, str] | None:
    pairs: list[tuple[object, object]]
    if isinstance(raw, Mapping):
        pairs = list(raw.items())
    elif isinstance(raw, list) and all(isinstance(item, Mapping) for item in raw):
        pairs = [(item.get("key"), item.get("value")) for item in raw]
    elif raw == "":
        return {}
    else:
        return None
    result: dict[str, str] = {}
    for key, value in pairs:
        if not isinstance(key, str) or not isinstance(value, str) or key in result or len(result) >= MAX_LIST_ITEMS:
            return None
        result[key] = value
    return result


_READERS = {"bool": _bool, "integer": _integer, "duration": _duration, "text": _text, "texts": _texts, "map": _map}
