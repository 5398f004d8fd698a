"""Writes configurations: as a file, as environment variables."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from centripetal.model.duration import format_duration

from .environment import PREFIXES, join_variable
from .options import NAMED_LISTS, Option, join, options_of
from .schema import Config

UNRELEASED = ("broker.redisnats",)
"""Sections that a written file leaves out."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,*-]*")


def to_object(config: Config) -> dict[str, Any]:
    """Returns all options as an object for a file, with durations as texts."""
    return _object(config, "")


def _object(settings: Struct, path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for option in options_of(type(settings)):
        option_path = join(path, option.name)
        value = getattr(settings, option.name)
        if option_path in UNRELEASED:
            continue
        if option.kind == "section":
            result[option.name] = _object(value, option_path)
        elif option.kind == "sections":
            result[option.name] = [_object(item, option_path + "[]") for item in value]
        else:
            result[option.name] = _builtin(option, value)
    return result


def _builtin(option: Option, value: Any) -> Any:
    if option.kind == "duration":
        return format_duration(value)
    return list(value) if option.kind == "texts" else value


def to_variables(config: Config, *, prefix: str = PREFIXES[1], given: Config | None = None) -> list[str]:
    """Returns sorted lines NAME=value, quoted for a shell where needed.

    Args:
        config: whose values to write.
        prefix: of the names, such as "CENTRIPETAL_".
        given: only options that have a value other than zero in here are written; None writes all.
    """
    return sorted(prefix + line for line in _variables(config, "", "", given))


def _variables(settings: Struct, path: str, variable: str, given: Struct | None) -> Iterator[str]:
    for option in options_of(type(settings)):
        value = getattr(settings, option.name)
        original = value if given is None else getattr(given, option.name)
        option_path = join(path, option.name)
        name = join_variable(variable, option.name)
        if option.kind == "section":
            yield from _variables(value, option_path, name, None if given is None else original)
        elif given is not None and not original:
            continue
        elif option.kind == "sections" and option_path in NAMED_LISTS:
            yield f"{name}={_quoted(' '.join(item.name for item in value))}"
            for index, item in enumerate(value):
                item_given = None if given is None else original[index]
                yield from _variables(item, option_path + "[]", join_variable(name, item.name), item_given)
        else:
            yield f"{name}={_quoted(_text(option, value))}"


def _text(option: Option, value: Any) -> str:
    if option.kind == "bool":
        return "true" if value else "false"
    if option.kind == "duration":
        return format_duration(value)
    if option.kind == "texts":
        return " ".join(value)
    if option.kind == "map":
        return json.dumps(value, ensure_ascii=False)
    if option.kind == "sections":
        return json.dumps([_object(item, "") for item in value], ensure_ascii=False)
    return str(value)


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else shlex.quote(text)
