"""The ways in for clients: from the configuration to the hot routes of the external listener."""

from __future__ import annotations

import asyncio

from ..config import Config
from ..connection import Client
from ..connection.emulation import Emulated, answer_emulation, emulate
from ..interfaces import Transport
from ..interfaces.request import HttpRequest
from ..node.node import Node
from ..protocol.commands import EmulationRequest
from ..transports.admission import Admission
from ..transports.deadlines import Deadlines
from ..transports.emulation import EmulationEndpoint
from ..transports.endpoints import HttpEndpoint, UpgradeEndpoint
from ..transports.failures import ConnectFailures
from ..transports.gate import Gate
from ..transports.origins import Origins
from ..transports.reception import Reception
from ..transports.settings import HttpResponseTransformSettings
from ..transports.streaming import HTTP_STREAM, SSE, UNI_HTTP_STREAM, UNI_SSE, StreamKind, StreamRules
from ..transports.streams import StreamEndpoint
from ..transports.unidirectional import UniWebSocketEndpoint
from ..transports.websocket import WebSocketEndpoint
from .pages import path_of
from .shared_counts import SharedCounts


def transport_routes(config: Config, node: Node, admission: Admission) -> dict[str, HttpEndpoint | UpgradeEndpoint]:
    """Returns the endpoints of all transports that are enabled, by path."""
    reception = reception_of(config, admission)

    def new_client(transport: Transport, request: HttpRequest) -> Client:
        return Client(node, transport, request)

    routes: dict[str, HttpEndpoint | UpgradeEndpoint] = {}
    if not config.websocket.disabled:
        routes[path_of(config.websocket.handler_prefix)] = WebSocketEndpoint(
            config.websocket,
            reception.origins,
            reception.admission,
            new_client,
            ping_interval_seconds=reception.ping_interval_seconds,
            pong_timeout_seconds=reception.pong_timeout_seconds,
        )
    if config.uni_websocket.enabled:
        routes[path_of(config.uni_websocket.handler_prefix)] = UniWebSocketEndpoint(
            config.uni_websocket, reception, new_client
        )
    deadlines = Deadlines()

    def stream(kind: StreamKind, max_body_bytes: int, failures: HttpResponseTransformSettings | None) -> StreamEndpoint:
        rules = StreamRules(
            kind,
            new_client,
            reception.ping_interval_seconds,
            reception.pong_timeout_seconds,
            ConnectFailures(failures) if failures is not None and failures.enabled else None,
            deadlines,
        )
        return StreamEndpoint(rules, reception, max_body_bytes)

    for both_ways, kind in ((config.sse, SSE), (config.http_stream, HTTP_STREAM)):
        if both_ways.enabled:
            routes[path_of(both_ways.handler_prefix)] = stream(kind, both_ways.max_request_body_size, None)
    for one_way, kind in ((config.uni_sse, UNI_SSE), (config.uni_http_stream, UNI_HTTP_STREAM)):
        if one_way.enabled:
            routes[path_of(one_way.handler_prefix)] = stream(
                kind, one_way.max_request_body_size, one_way.connect_code_to_http_response
            )
    if config.sse.enabled or config.http_stream.enabled:
        routes[path_of(config.emulation.handler_prefix)] = emulation_endpoint(config, node, reception.origins)
    return routes


def admission_of(config: Config, node: Node, counts: SharedCounts | None = None) -> Admission:
    """Returns what counts newcomers; one for all ways in, since limit and rate are the server's.

    Args:
        config: the limits.
        node: whose clients count, unless several workers count theirs together.
        counts: of all workers.
    """
    client, counters = config.client, node.counters

    def count_refusal() -> None:
        counters.connection_limit_refusals += 1

    return Admission(
        node.clock,
        counts.total if counts is not None else (lambda: node.num_clients),
        client.connection_limit,
        client.connection_rate_limit,
        count_refusal,
        counts.bucket if counts is not None else None,
    )


def gate_of(node: Node) -> Gate:
    """Returns the gate of all listeners of a node. Needs the running event loop."""
    counters = node.counters

    def count_turned_away() -> None:
        counters.newcomers_turned_away += 1

    return Gate(asyncio.get_running_loop(), count_turned_away)


def reception_of(config: Config, admission: Admission) -> Reception:
    """Returns who may come in by any of the transports."""
    client = config.client
    return Reception(
        Origins(client.allowed_origins),
        admission,
        ping_interval_seconds=max(client.ping_interval, 0.0),
        pong_timeout_seconds=max(client.pong_timeout, 0.0),
    )


def emulation_endpoint(config: Config, node: Node, origins: Origins) -> EmulationEndpoint:
    """Returns the endpoint to which clients of streams send their commands."""

    async def pass_on(request: EmulationRequest) -> Emulated:
        return await emulate(node, request)

    answer_emulation(node)
    return EmulationEndpoint(pass_on, origins, config.emulation.max_request_body_size)
