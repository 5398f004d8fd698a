"""What is done with the request of an exchange: which endpoint it meets, and how the answer is made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from .application import MAX_RUNS, ApplicationRun
from .endpoints import HttpEndpoint, OpenResponse, UpgradeEndpoint
from .exchange_writer import EXCHANGE_WRITER
from .header_sections import body_length
from .outcomes import open_up, outcome_of, response_of
from .responses import plain

if TYPE_CHECKING:
    from .exchange import Exchange
    from .listener import Listener

_log = structlog.get_logger()


def serve(exchange: Exchange, listener: Listener, request: HttpRequest) -> None:
    """Begins with a request.

    Args:
        exchange: of the request.
        listener: whose routes and limits hold.
        request: its head.
    """
    try:
        _route(exchange, listener, request)
    except Exception:  # noqa: BLE001  an endpoint's mistake must not end as a silent reset
        _log.exception("http_request_failed", method=request.method)
        exchange.answer(plain(500))


def respond(exchange: Exchange, request: HttpRequest, endpoint: HttpEndpoint, body: bytes) -> None:
    """Has an endpoint answer.

    Args:
        exchange: of the request.
        request: its head.
        endpoint: that answers.
        body: the whole of it.
    """
    outcome = outcome_of(endpoint, request, body)
    if isinstance(outcome, OpenResponse):
        refusal = open_up(outcome, request, exchange, EXCHANGE_WRITER)
        if refusal is None:
            exchange.give_away(outcome)
        else:
            exchange.answer(refusal)
    elif isinstance(outcome, HttpResponse):
        exchange.answer(outcome)
    else:

        def answer(task: asyncio.Future[HttpResponse]) -> None:
            exchange.answer(response_of(task))

        outcome.add_done_callback(answer)


def _route(exchange: Exchange, listener: Listener, request: HttpRequest) -> None:
    routes = listener.routes
    if request.protocol:
        upgrading = routes.find_upgrade(request.path)
        if upgrading is None:
            exchange.answer(plain(404))
        else:
            _upgrade(exchange, upgrading, request)
        return
    endpoint = routes.find(request.path)
    if endpoint is None:
        _serve_otherwise(exchange, listener, request)
        return
    early = endpoint.begin(request)
    if early is None and body_length(request) > endpoint.max_body_bytes:
        early = plain(413)
    if early is not None:
        exchange.answer(early)
    elif exchange.heard:
        respond(exchange, request, endpoint, b"")
    else:
        exchange.await_body(endpoint)


def _upgrade(exchange: Exchange, endpoint: UpgradeEndpoint, request: HttpRequest) -> None:
    outcome = endpoint.upgrade(request, exchange, EXCHANGE_WRITER)
    if isinstance(outcome, HttpResponse):
        exchange.answer(outcome)
    else:
        exchange.give_away(outcome, is_tunnel=True)


def _serve_otherwise(exchange: Exchange, listener: Listener, request: HttpRequest) -> None:
    """Answers what no endpoint does."""
    upgrading = listener.routes.find_upgrade(request.path)
    if upgrading is not None:
        _upgrade(exchange, upgrading, request)  # without an extended CONNECT it refuses
    elif listener.fallback is None:
        exchange.answer(plain(404))
    elif len(listener.fallback.runs) >= MAX_RUNS:
        exchange.answer(plain(503))
    else:
        run = ApplicationRun(listener.fallback, exchange, request, ended=exchange.heard)
        exchange.set_protocol(run)
        if not exchange.heard:
            exchange.limit_body()
        run.start(listener.loop)
