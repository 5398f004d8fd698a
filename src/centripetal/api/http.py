"""The server API over HTTP: `POST <http_api.handler_prefix>/<method>`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from . import legacy
from .access import KeyCheck
from .contract import ApiNode
from .errors import HTTP_STATUSES, INTERNAL, ApiError
from .json_requests import BadBody, decode_batch, decode_request
from .json_results import NotJson, encode_error, encode_replies, encode_result, encode_short
from .methods import METHODS, Methods
from .results import Outcome, is_outcome
from .settings import HttpApiSettings

logger = structlog.get_logger(__name__)

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Longer bodies are refused (HTTP 413)."""

TRANSPORT_ERROR_MODE = "transport"

_JSON = (("Content-Type", "application/json"),)
_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))

_UNAUTHORIZED = HttpResponse(401)
_NOT_FOUND = HttpResponse(404, _TEXT, b"404 page not found\n")
_METHOD_NOT_ALLOWED = HttpResponse(405)
_BAD_REQUEST = HttpResponse(400, _TEXT, b"Bad Request\n")
_SERVER_ERROR = HttpResponse(500, _TEXT, b"Internal Server Error\n")
_EMPTY_RESULT = HttpResponse(200, _JSON, b'{"result":{}}')


class HttpApi:
    """The endpoint for a front door: begin() before the body is read, respond() with the body.

    Attributes:
        prefix: path of the legacy endpoint, without a trailing slash; `/` when empty.
        paths: all paths that exist.
        max_body_bytes: of one request.
        forgets_requests: see endpoints.HttpEndpoint.
    """

    forgets_requests = True

    def __init__(self, node: ApiNode, settings: HttpApiSettings) -> None:
        """Makes the endpoint.

        Args:
            node: what the methods work on.
            settings: the options `http_api.*`.
        """
        prefix = settings.handler_prefix.rstrip("/")
        self.max_body_bytes = MAX_BODY_BYTES
        self.prefix = prefix or "/"
        self._methods = Methods(node, "http")
        self._keys = KeyCheck(settings.key, settings.insecure)
        self._transport_errors = settings.error_mode == TRANSPORT_ERROR_MODE
        self._method_of_path = {f"{prefix}/{name}": name for name in METHODS}
        self._batch_path = f"{prefix}/batch"
        self.paths = frozenset((self.prefix, self._batch_path, *self._method_of_path))

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        """Answers what needs no body: unknown paths, other HTTP methods, requests without a valid key."""
        if request.path not in self.paths:
            return _NOT_FOUND
        if request.method != "POST":
            return _METHOD_NOT_ALLOWED
        if not self._keys.is_allowed(request.headers, request.query):
            return _UNAUTHORIZED
        return None

    def respond(self, request: HttpRequest, body: bytes) -> HttpResponse | Coroutine[Any, Any, HttpResponse]:
        """Answers a request that begin() let pass, or returns the coroutine that does where it may have to wait."""
        name = self._method_of_path.get(request.path)
        if name is not None:
            return self._call(name, request, body)
        if request.path == self._batch_path:
            return self._batch(body)
        return self._legacy(body)

    def _call(
        self, name: str, request: HttpRequest, body: bytes
    ) -> HttpResponse | Coroutine[Any, Any, HttpResponse]:
        try:
            parameters = decode_request(name, body)
        except BadBody as error:
            return _refused(name, error)
        outcome = self._methods.begin(name, parameters)
        if is_outcome(outcome):
            encoded = encode_short(outcome)
            if encoded is not None:
                return _result(encoded)
        return self._answer(name, request, outcome)

    async def _answer(
        self, name: str, request: HttpRequest, outcome: Outcome | Coroutine[Any, Any, Outcome]
    ) -> HttpResponse:
        if not is_outcome(outcome):
            outcome = await outcome
        if isinstance(outcome, ApiError):
            if self._transport_errors or request.headers.get("x-centrifugo-error-mode") == TRANSPORT_ERROR_MODE:
                return HttpResponse(HTTP_STATUSES.get(outcome.code, 500), _JSON, encode_error(outcome))
            return HttpResponse(200, _JSON, b'{"error":%b}' % encode_error(outcome))
        try:
            return _result(await encode_result(outcome))
        except NotJson:
            _log_not_json(name)
            return _SERVER_ERROR

    async def _batch(self, body: bytes) -> HttpResponse:
        try:
            commands, parallel = await decode_batch(body)
        except BadBody as error:
            return _refused("batch", error)
        replies = await self._methods.batch(commands, parallel)
        return HttpResponse(200, _JSON, await encode_replies(replies, _log_not_json))

    async def _legacy(self, body: bytes) -> HttpResponse:
        try:
            return HttpResponse(200, _JSON, await legacy.answer(self._methods, body))
        except BadBody as error:
            return _refused("legacy", error)
        except NotJson:
            _log_not_json("legacy")
            return _SERVER_ERROR


def _result(encoded: bytes) -> HttpResponse:
    return _EMPTY_RESULT if encoded == b"{}" else HttpResponse(200, _JSON, b'{"result":%b}' % encoded)


def _refused(name: str, error: BadBody) -> HttpResponse:
    logger.info("api_body_refused", method=name, reason=str(error))
    return _BAD_REQUEST


def _log_not_json(name: str) -> ApiError:
    """A stream may hold payloads of Protobuf clients; an answer in JSON cannot carry them."""
    logger.error("api_result_not_json", method=name)
    return INTERNAL
