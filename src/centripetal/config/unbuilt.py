"""Options whose feature this version does not have yet. They are refused at start, never silently ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from .errors import ConfigError
from .options import Option, join, options_of
from .schema import Config
from .values import show

UNBUILT: tuple[tuple[str, str], ...] = (
    (r"engine\.type|engine\.redis\..*", "the Redis engine"),
    (r"broker\..*", "a broker apart from the engine"),
    (r"presence_manager\..*", "a presence manager apart from the engine"),
    (r"map_broker\..*", "a map broker apart from the engine"),
    (r"controller\..*", "controllers"),
    (r"consumers", "consumers"),
    (r"admin\.(?!password$|secret$).*", "the admin web interface"),
    (r"swagger\..*", "the Swagger UI"),
    (r"debug\..*", "profiling endpoints"),
    (r"prometheus\.native_histograms", "native histograms"),
    (r"opentelemetry\..*", "traces"),
    (r"graphite\..*", "the export of metrics to Graphite"),
    (r"enable_unreleased_features", "unreleased features"),
)
"""Expressions for whole option paths, with the name of the missing feature."""

_PATTERNS = tuple((re.compile(pattern), feature) for pattern, feature in UNBUILT)
_INDEX = re.compile(r"\[\d+\]")


def refuse_unbuilt(config: Config) -> None:
    """Checks that no option of a missing feature has another value than its default.

    Raises:
        ConfigError: one has; the text names option, value and feature.
    """
    for path, option, value in _values(config, ""):
        feature = _feature(_INDEX.sub("[]", path))
        if feature and value != option.default:
            shown = "this value" if option.secret or option.kind == "sections" else show(_builtin(value))
            raise ConfigError(f"{path}: {shown} cannot be used: this version does not have {feature} yet")


def _feature(path: str) -> str:
    return next((feature for pattern, feature in _PATTERNS if pattern.fullmatch(path)), "")


def _values(settings: Struct, path: str) -> Iterator[tuple[str, Option, Any]]:
    for option in options_of(type(settings)):
        value = getattr(settings, option.name)
        option_path = join(path, option.name)
        if option.kind == "section":
            yield from _values(value, option_path)
            continue
        yield option_path, option, value
        if option.kind == "sections":
            for index, item in enumerate(value):
                yield from _values(item, f"{option_path}[{index}]")


def _builtin(value: object) -> object:
    return msgspec.to_builtins(value)
