"""What a reload may change of a running server, and what waits for a restart."""

from __future__ import annotations

import msgspec

from .options import join
from .schema import Config

_ALL: tuple[str, ...] = ()

APPLIED: dict[str, tuple[str, ...]] = {
    "log": _ALL,
    "client": _ALL,
    "channel": _ALL,
    "rpc": _ALL,
    "proxies": _ALL,
    "http_server": ("tls", "internal_tls"),
    "http_api": _ALL,
    "grpc_api": ("key", "error_mode"),
    "websocket": _ALL,
    "sse": _ALL,
    "http_stream": _ALL,
    "webtransport": _ALL,
    "uni_sse": _ALL,
    "uni_http_stream": _ALL,
    "uni_websocket": _ALL,
    "emulation": _ALL,
    "health": _ALL,
    "init": _ALL,
    "prometheus": ("enabled", "handler_prefix"),
    "shared_poll": _ALL,
    "shutdown": _ALL,
}
"""Sections that a reload applies, with the options of those of which it does not apply all; these cannot be
switched on or off."""


def merge(running: Config, wanted: Config) -> tuple[Config, list[str], list[str]]:
    """Takes from a new configuration what can be applied to a running server.

    Args:
        running: by what the server runs.
        wanted: as it was read now.

    Returns:
        The configuration to go on with; the paths of the options that change; those that wait for a restart. The
        paths of a list of sections end at the list.
    """
    sections: dict[str, object] = {}
    applied: list[str] = []
    waiting: list[str] = []
    for name in Config.__struct_fields__:
        old, new = getattr(running, name), getattr(wanted, name)
        if old == new:
            continue
        live = APPLIED.get(name)
        if not isinstance(new, msgspec.Struct):
            (waiting if live is None else applied).append(name)
            sections[name] = old if live is None else new
            continue
        kept = {}
        for option in new.__struct_fields__:
            before, after = getattr(old, option), getattr(new, option)
            if before == after:
                continue
            paths = _changed(before, after, join(name, option))
            if live is None or (live and (option not in live or _is_switched(before, after))):
                kept[option] = before
                waiting += paths
            else:
                applied += paths
        sections[name] = msgspec.structs.replace(new, **kept)
    return msgspec.structs.replace(running, **sections), applied, waiting


def _is_switched(before: object, after: object) -> bool:
    """A listener neither begins nor ends to speak TLS while it runs; only how it does can change."""
    return getattr(before, "enabled", None) != getattr(after, "enabled", None)


def _changed(before: object, after: object, path: str) -> list[str]:
    """Returns the paths of the options below which differ."""
    if not isinstance(before, msgspec.Struct) or not isinstance(after, msgspec.Struct):
        return [path]
    return [
        changed
        for option in before.__struct_fields__
        if getattr(before, option) != getattr(after, option)
        for changed in _changed(getattr(before, option), getattr(after, option), join(path, option))
    ]
