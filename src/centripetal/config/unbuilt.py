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
    (r"map_broker\..*", "map brokers"),
    (r"controller\..*", "controllers"),
    (r"channel\.proxy\.(?:map_publish|map_remove)\..*", "proxies of maps"),
    (r"channel\.(?:without_namespace|namespaces\[\])\.map\.(?:publish|remove)_proxy_(?:enabled|name)", "proxies of maps"),
    (r"channel\.proxy\.shared_poll_refresh\..*", "shared polls"),
    (r"channel\.(?:without_namespace|namespaces\[\])\.shared_poll\..*|shared_poll\..*", "shared polls"),
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

_STREAM_TYPES = ("", "stream")
_MAP_TYPES = ("map", "map_clients", "map_users")
_SUBSCRIPTION_TYPE = re.compile(r"channel\.(?:without_namespace|namespaces\[\])\.subscription_type")
_PATTERNS = tuple((re.compile(pattern), feature) for pattern, feature in UNBUILT)
_INDEX = re.compile(r"\[\d+\]")


def refuse_unbuilt(config: Config) -> None:
    """Checks that no option of a missing feature has another value than its default.

    Raises:
        ConfigError: one has; the text names option, value and feature.
    """
    for path, option, value in _values(config, ""):
        feature = _feature(_INDEX.sub("[]", path), value)
        if feature and value != option.default:
            shown = "this value" if option.secret or option.kind == "sections" else show(_builtin(value))
            raise ConfigError(f"{path}: {shown} cannot be used: this version does not have {feature} yet")


def closed_channels(config: Config) -> list[str]:
    """Returns a warning for each namespace of map subscriptions, which this version does not have yet.

    Such a namespace may be declared, so that a configuration need not be taken apart; its channels refuse subscribers
    and publications with the documented errors.
    """
    namespaces = (("without_namespace", config.channel.without_namespace),) + tuple(
        (namespace.name, namespace) for namespace in config.channel.namespaces
    )
    return [
        f"{name}: subscription_type {options.subscription_type}: this version does not have map subscriptions yet, "
        "so these channels take neither subscribers nor publications"
        for name, options in namespaces
        if options.subscription_type in _MAP_TYPES
    ]


def _feature(path: str, value: object) -> str:
    if _SUBSCRIPTION_TYPE.fullmatch(path):
        return "" if value in _STREAM_TYPES or value in _MAP_TYPES else "shared poll subscriptions"
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
