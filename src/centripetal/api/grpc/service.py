"""The service `centrifugal.centrifugo.api.CentrifugoApi`."""

from __future__ import annotations

import hmac
from typing import Any

import grpc
import structlog

from ..contract import ApiNode
from ..errors import ApiError
from ..methods import METHODS, Methods
from ..settings import GrpcApiSettings
from .requests import BadMessage, decode_batch, decode_request, wire_name
from .results import encode_replies, encode_response
from .schema import api_pb2 as schema

logger = structlog.get_logger(__name__)

SERVICE = schema.DESCRIPTOR.services_by_name["CentrifugoApi"].full_name
"""Name on the wire."""

ERROR_MODE_METADATA = "x-centrifugo-error-mode"
TRANSPORT_ERROR_MODE = "transport"

STATUSES = {
    100: grpc.StatusCode.INTERNAL,
    102: grpc.StatusCode.NOT_FOUND,
    104: grpc.StatusCode.NOT_FOUND,
    107: grpc.StatusCode.INVALID_ARGUMENT,
    108: grpc.StatusCode.INVALID_ARGUMENT,
    112: grpc.StatusCode.OUT_OF_RANGE,
    113: grpc.StatusCode.ALREADY_EXISTS,
}
"""Statuses in the error mode `transport`; any other code is INTERNAL."""

_Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcApi(grpc.GenericRpcHandler):
    """Handles the calls of a gRPC server. Messages are parsed here, after the key is checked."""

    def __init__(self, node: ApiNode, settings: GrpcApiSettings) -> None:
        """Makes the service.

        Args:
            node: what the methods work on.
            settings: the options `grpc_api.*`.
        """
        self._methods = Methods(node, "grpc")
        self.reconfigure(settings)
        self._handlers = {f"/{SERVICE}/{wire_name(name)}": self._handler_of(name) for name in METHODS}
        self._handlers[f"/{SERVICE}/Batch"] = grpc.unary_unary_rpc_method_handler(self._batch)

    def reconfigure(self, settings: GrpcApiSettings) -> None:
        """Sets another key or error mode."""
        self._key = f"apikey {settings.key}".encode() if settings.key else b""
        self._transport_errors = settings.error_mode == TRANSPORT_ERROR_MODE

    def service(self, handler_call_details: Any) -> Any:
        """Returns the handler of a method, None for methods that do not exist (UNIMPLEMENTED)."""
        return self._handlers.get(handler_call_details.method)

    def _handler_of(self, name: str) -> Any:
        async def call(message: bytes, context: _Context) -> bytes:
            return await self._call(name, message, context)

        return grpc.unary_unary_rpc_method_handler(call)

    async def _call(self, name: str, message: bytes, context: _Context) -> bytes:
        metadata = _first_values(context)
        if not self._is_allowed(metadata):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
        try:
            request = decode_request(name, message)
        except BadMessage as error:
            await _refuse(name, error, context)
        outcome = await self._methods.call(name, request)
        if isinstance(outcome, ApiError) and (
            self._transport_errors or metadata.get(ERROR_MODE_METADATA) == TRANSPORT_ERROR_MODE
        ):
            await context.abort(STATUSES.get(outcome.code, grpc.StatusCode.INTERNAL), outcome.message)
        return await encode_response(name, outcome)

    async def _batch(self, message: bytes, context: _Context) -> bytes:
        if not self._is_allowed(_first_values(context)):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
        try:
            commands, parallel = await decode_batch(message)
        except BadMessage as error:
            await _refuse("batch", error, context)
        return await encode_replies(await self._methods.batch(commands, parallel))

    def _is_allowed(self, metadata: dict[str, str | bytes]) -> bool:
        """Whether the metadata `authorization: apikey KEY` is right; without a configured key everything is."""
        if not self._key:
            return True
        value = metadata.get("authorization", "")
        return hmac.compare_digest(value.encode("utf-8", "replace") if isinstance(value, str) else value, self._key)


def _first_values(context: _Context) -> dict[str, str | bytes]:
    metadata: dict[str, str | bytes] = {}
    for name, value in context.invocation_metadata() or ():
        metadata.setdefault(name, value)
    return metadata


async def _refuse(name: str, error: BadMessage, context: _Context) -> None:
    logger.info("api_message_refused", method=name, protocol="grpc", reason=str(error))
    await context.abort(grpc.StatusCode.INTERNAL, str(error))  # what gRPC says of requests that cannot be parsed
