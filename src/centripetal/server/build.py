"""Chooses implementations: a configuration becomes a node and the routes of its listeners."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.routing import BaseRoute

from .. import __version__
from ..api.http import HttpApi
from ..auth.verifier import JwtVerifier
from ..config import Config
from ..engines.memory import MemoryBroker, MemoryPresenceManager
from ..interfaces import Clock, SystemClock
from ..node.node import Node
from ..observability.interval import IntervalMetrics
from ..observability.metrics import MetricsCollector
from ..transports.endpoints import HttpEndpoint, Routes, UpgradeEndpoint
from ..transports.listener import Listener
from .pages import application, external_routes, internal_routes
from .transports import transport_routes


@dataclass(frozen=True, slots=True)
class Door:
    """A listener and where it listens.

    Attributes:
        name: `external` or `internal`, for logs.
        listener: not started yet.
        address: interface, empty for all.
        port: TCP port.
    """

    name: str
    listener: Listener
    address: str
    port: int


def token_verifier(config: Config, clock: Clock) -> JwtVerifier:
    """Returns the verifier of connection and subscription tokens.

    Raises:
        TokenSettingsError: an option cannot be used.
    """
    return JwtVerifier(
        config.client.token,
        config.client.subscription_token,
        clock=clock,
        insecure_skip_signature_verify=config.client.insecure_skip_token_signature_verify,
    )


def build_node(config: Config) -> Node:
    """Returns a node with the engine that the configuration asks for. Needs a running event loop.

    Raises:
        TokenSettingsError: a token option cannot be used.
    """
    clock = SystemClock()
    name = config.node.name or f"{socket.gethostname()}_{config.http_server.port}"
    return Node(
        broker=MemoryBroker(clock, history_meta_ttl_seconds=config.channel.history_meta_ttl),
        presence=MemoryPresenceManager(clock),
        client=config.client,
        channel=config.channel,
        rpc=config.rpc,
        node=msgspec.structs.replace(config.node, name=name),
        tokens=token_verifier(config, clock),
        clock=clock,
        version=__version__,
    )


def build_doors(config: Config, node: Node, extra_routes: Sequence[BaseRoute] = ()) -> list[Door]:
    """Returns the listeners: one, or an external and an internal one.

    Args:
        config: the configuration.
        node: behind them.
        extra_routes: further routes of the external listener.
    """
    metrics = MetricsCollector(node, config.prometheus)
    interval = IntervalMetrics(metrics, node.node_info, node.clock, config.node.info_metrics_aggregate_interval)
    node.ticker.every_second.append(interval.check)
    inside: list[BaseRoute] = internal_routes(config, metrics.render)
    outside: list[BaseRoute] = [*external_routes(config), *extra_routes]
    exact = transport_routes(config, node)
    api = None if config.http_api.disabled else HttpApi(node, config.http_api)
    server = config.http_server
    if not server.internal_port or int(server.internal_port) == server.port:
        door = Listener(routes(exact, api), application(outside + inside))
        return [Door("external", door, server.address, server.port)]
    external = Listener(routes(exact, api if config.http_api.external else None), application(outside))
    internal = Listener(routes({}, None if config.http_api.external else api), application(inside))
    return [
        Door("external", external, server.address, server.port),
        Door("internal", internal, server.internal_address or server.address, int(server.internal_port)),
    ]


def routes(exact: dict[str, HttpEndpoint | UpgradeEndpoint], api: HttpApi | None) -> Routes:
    """Returns the hot routes of a listener."""
    if api is None:
        return Routes(exact)
    return Routes({**exact, **dict.fromkeys(api.paths, api)})


def write_pid_file(path: str) -> None:
    """Writes the process id (`pid_file`).

    Raises:
        OSError: the file cannot be written.
    """
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
