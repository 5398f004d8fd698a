"""What an endpoint's answer means, whatever carries it: it may be there, be awaited, stay open, or have failed."""

from __future__ import annotations

import asyncio
from types import CoroutineType

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from ..node.eager import run_eagerly
from .endpoints import AnswerWriter, HttpEndpoint, OpenResponse
from .responses import plain

_log = structlog.get_logger()


def outcome_of(
    endpoint: HttpEndpoint, request: HttpRequest, body: bytes
) -> HttpResponse | asyncio.Future[HttpResponse] | OpenResponse:
    """Has an endpoint answer a request.

    Args:
        endpoint: that answers.
        request: its head.
        body: the whole of it.

    Returns:
        A response (500 if the endpoint failed), a task for `response_of` if it has to wait, or an answer for `open_up`.
    """
    try:
        outcome = endpoint.respond(request, body)
        # First what is most frequent: it is quick to tell, other than an instance of an abstract class.
        if type(outcome) is HttpResponse:
            return outcome
        if type(outcome) is CoroutineType or not isinstance(outcome, (HttpResponse, OpenResponse)):
            return run_eagerly(outcome)[1]
    except Exception:  # noqa: BLE001  an endpoint's mistake must not end as a silent reset
        return _failed(request)
    return outcome


def open_up(
    outcome: OpenResponse, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter
) -> HttpResponse | None:
    """Has an answer that stays open begin.

    Args:
        outcome: the answer.
        request: its head.
        transport: of the request; becomes the answer's.
        writer: sends the head.

    Returns:
        None if it has begun; it is to become the transport's protocol then. Otherwise the response to send in its place.
    """
    try:
        outcome.begin(transport, writer)
    except Exception:  # noqa: BLE001  the same
        return _failed(request)
    return None


def response_of(task: asyncio.Future[HttpResponse]) -> HttpResponse:
    """Returns what a finished task answers: 503 if it was cancelled, 500 if it failed."""
    if task.cancelled():
        return plain(503)
    error = task.exception()
    if error is None:
        return task.result()
    _log.error("http_request_failed", exc_info=error)
    return plain(500)


def _failed(request: HttpRequest) -> HttpResponse:
    """Logs the exception that is being handled."""
    _log.exception("http_request_failed", method=request.method)
    return plain(500)
