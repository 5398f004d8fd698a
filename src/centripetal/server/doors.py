"""The HTTP listeners of a configuration, and what each of them serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from ..api.http import HttpApi
from ..config import Config
from ..node.node import Node
from ..observability.interval import IntervalMetrics
from ..observability.metrics import MetricsCollector
from ..transports.admission import Admission
from ..transports.endpoints import HttpEndpoint, Routes, UpgradeEndpoint
from ..transports.fallback import AsgiApp
from ..transports.listener import Listener
from .group_metrics import collect_metrics
from .pages import application, external_routes, internal_routes
from .shared_counts import SharedCounts
from .transports import admission_of, transport_routes


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


@dataclass(frozen=True, slots=True)
class Shared:
    """What all listeners have in common and a reload keeps.

    Attributes:
        node: behind them.
        admission: who may come in.
        render_metrics: returns the metrics in the Prometheus text format.
        extra_routes: further pages of the external listener.
    """

    node: Node
    admission: Admission
    render_metrics: Callable[[], Awaitable[bytes]]
    extra_routes: Sequence[BaseRoute] = ()


def share(
    config: Config,
    node: Node,
    extra_routes: Sequence[BaseRoute] = (),
    counts: SharedCounts | None = None,
) -> Shared:
    """Makes what the listeners of a node have in common.

    Args:
        config: the configuration.
        node: behind them.
        extra_routes: further pages of the external listener.
        counts: what limits of connections count, if the node is one of several workers.
    """
    metrics = MetricsCollector(node, config.prometheus, num_nodes=node.num_nodes)
    interval = IntervalMetrics(metrics, node.node_info, node.clock, config.node.info_metrics_aggregate_interval)
    node.ticker.every_second.append(interval.check)
    return Shared(node, admission_of(config, node, counts), collect_metrics(node, metrics), extra_routes)


def build_doors(config: Config, shared: Shared) -> list[Door]:
    """Returns the listeners: one, or an external and an internal one."""
    server = config.http_server
    places = [("external", server.address, server.port)]
    if config.http_server.has_internal_listener:
        places.append(("internal", *server.internal_place))
    return [
        Door(name, Listener(routes, app, h2c=server.h2c_external and name == "external"), address, port)
        for (name, address, port), (routes, app) in zip(places, served(config, shared), strict=True)
    ]


def served(config: Config, shared: Shared) -> list[tuple[Routes, AsgiApp]]:
    """Returns what each listener serves, in the order of build_doors(): its hot routes and the application behind."""
    node = shared.node
    inside: list[BaseRoute] = internal_routes(config, shared.render_metrics)
    outside: list[BaseRoute] = [*external_routes(config), *shared.extra_routes]
    exact = transport_routes(config, node, shared.admission)
    api = None if config.http_api.disabled else HttpApi(node, config.http_api)
    if not config.http_server.has_internal_listener:
        # The extra pages come last: they may be whatever has no other route.
        return [(_routes(exact, api), application(inside + outside))]
    return [
        (_routes(exact, api if config.http_api.external else None), application(outside)),
        (_routes({}, None if config.http_api.external else api), application(inside)),
    ]


def _routes(exact: dict[str, HttpEndpoint | UpgradeEndpoint], api: HttpApi | None) -> Routes:
    if api is None:
        return Routes(exact)
    return Routes({**exact, **dict.fromkeys(api.paths, api)})
