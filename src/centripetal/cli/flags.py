"""Flags of the server command that set options of the same name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

OPTION_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("pid_file", "", "file to write the process id to"),
    ("http_server.address", "-a", "interface to listen on"),
    ("http_server.port", "-p", "port to listen on"),
    ("http_server.internal_address", "", "interface of the internal endpoints"),
    ("http_server.internal_port", "", "port of the internal endpoints"),
    ("engine.type", "", "engine: memory or redis"),
    ("broker.enabled", "", "use the broker instead of the engine's"),
    ("broker.type", "", "kind of the broker"),
    ("presence_manager.enabled", "", "use the presence manager instead of the engine's"),
    ("presence_manager.type", "", "kind of the presence manager"),
    ("map_broker.type", "", "kind of the map broker"),
    ("log.level", "", "trace, debug, info, warn, error, fatal or none"),
    ("log.file", "", "file to log to"),
    ("debug.enabled", "", "serve profiling endpoints"),
    ("admin.enabled", "", "serve the admin web interface"),
    ("admin.external", "", "serve the admin web interface on the external port"),
    ("admin.insecure", "", "admin web interface without a password"),
    ("prometheus.enabled", "", "serve metrics"),
    ("swagger.enabled", "", "serve the description of the HTTP API"),
    ("health.enabled", "", "serve the health check"),
    ("uni_websocket.enabled", "", "unidirectional WebSocket"),
    ("uni_sse.enabled", "", "unidirectional Server-Sent Events"),
    ("uni_http_stream.enabled", "", "unidirectional HTTP streaming"),
    ("sse.enabled", "", "bidirectional Server-Sent Events"),
    ("http_stream.enabled", "", "bidirectional HTTP streaming"),
    ("init.enabled", "", "serve the endpoint that sets cookies before a connection"),
    ("client.insecure", "", "let every client do everything"),
    ("http_api.insecure", "", "server API without a key"),
    ("http_api.external", "", "server API on the external port"),
    ("grpc_api.enabled", "", "server API over gRPC"),
    ("grpc_api.port", "", "port of the server API over gRPC"),
    ("uni_grpc.enabled", "", "unidirectional gRPC"),
    ("uni_grpc.port", "", "port of unidirectional gRPC"),
)
"""Path of the option, short form, help."""

_SWITCHES = frozenset(
    f"--{path}" for path, _, _ in OPTION_FLAGS if path.endswith((".enabled", ".insecure", ".external"))
)
_LONG_FORMS = {"http_server.port": ("--port",), "http_server.address": ("--address",)}


def add_option_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config and the flags above; the command gets their texts as `flags`, by option path, if given."""
    for path, short, text in reversed(OPTION_FLAGS):
        names = [f"--{path}", *_LONG_FORMS.get(path, ()), *([short] if short else [])]
        metavar = "[BOOL]" if f"--{path}" in _SWITCHES else "VALUE"
        option = click.option(*names, _parameter(path), metavar=metavar, help=f"{text[0].upper()}{text[1:]}.")
        command = option(command)
    return click.option("-c", "--config", metavar="FILE", help="Configuration file (default: config.json).")(command)


def take_flags(parameters: dict[str, Any]) -> dict[str, object]:
    """Removes the flags above from a command's parameters and returns those given, by option path."""
    flags = {path: parameters.pop(_parameter(path), None) for path, _, _ in OPTION_FLAGS}
    return {path: value for path, value in flags.items() if value is not None}


def complete_switches(arguments: list[str]) -> list[str]:
    """Gives switches without a value the value "true", so that `--health.enabled` and `--health.enabled=false` work."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    head = [f"{argument}=true" if argument in _SWITCHES else argument for argument in arguments[:end]]
    return head + arguments[end:]


def _parameter(path: str) -> str:
    return "option_" + path.replace(".", "__")
