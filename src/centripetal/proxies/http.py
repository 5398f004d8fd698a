"""A backend over HTTP: a POST of JSON for each event."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from ..interfaces import HookError
from ..interfaces.hooks import NOTHING_FORWARDED, Event
from ..outbound import HttpTarget, OutboundError
from ..protocol.json_nulls import drop_nulls
from ..protocol.json_text import is_json, is_too_deep, is_utf8, replace_lone_surrogates
from .answers import describe_mismatch, response_type
from .requests import Forwarder, RequestFields
from .results import DisconnectAdvice, Error, Response
from .settings import ProxySettings, StatusTransform

OK = 200
CONTENT_TYPE = "content-type"


class HttpBackend:
    """Asks about one event.

    Args:
        event: which.
        settings: how.
        target: who, with standing_headers().

    Attributes:
        protocol: label of metrics.
        forwarder: chooses headers.
    """

    protocol = "http"

    def __init__(self, event: Event[Any, Any], settings: ProxySettings, target: HttpTarget) -> None:
        self.forwarder = Forwarder(settings, {})
        self._fields = RequestFields(event, settings)
        self._kind = response_type(event)
        self._decode = msgspec.json.Decoder(self._kind).decode
        self._transforms = settings.http.status_to_code_transforms
        self._target = target

    async def ask(self, request: Any) -> Response[Any]:
        """Returns the backend's answer.

        Raises:
            HookError: there is none, or it makes no sense.
        """
        caller = getattr(request, "caller", None)
        headers = self.forwarder.of(caller.forwarded if caller is not None else NOTHING_FORWARDED)
        headers.pop(CONTENT_TYPE, None)
        body = encode_request(self._fields.of(request))
        try:
            result = await self._target.call("POST", body=body, headers=headers)
        except OutboundError as error:
            raise HookError(f"{error.kind}: {error}") from None
        if result.status == OK:
            return decode_response(result.body, self._decode, self._kind)
        for transform in self._transforms:
            if transform.status_code == result.status:
                return transformed(transform)
        raise HookError(f"the backend answered with the HTTP status {result.status}")


def standing_headers(settings: ProxySettings) -> dict[str, str]:
    """Returns what each request says: the values that are sent always (`http.static_headers`), and that it is JSON."""
    said = {name.lower(): value for name, value in settings.http.static_headers.items()}
    said[CONTENT_TYPE] = "application/json"
    return said


def encode_request(fields: dict[str, Any]) -> bytes:
    """Returns the JSON of a request.

    Args:
        fields: payloads (`data`, `meta`) as bytes.

    Raises:
        HookError: a payload is not JSON, which happens with clients that speak Protobuf.
    """
    for name, value in fields.items():
        if isinstance(value, bytes):
            if not is_json(value):
                raise HookError(f"the client's {name} is not JSON; see binary_encoding")
            fields[name] = Raw(value)
    return msgspec.json.encode(fields)


def decode_response(body: bytes, decode: Any, kind: Any) -> Response[Any]:
    """Returns an answer; null counts as absent, except as payload.

    Raises:
        HookError: it is no JSON of the right shape, not UTF-8, or nested too deep.
    """
    if not is_utf8(body):
        raise HookError("the answer is not UTF-8")
    if is_too_deep(body):
        raise HookError("the answer is nested too deep")
    try:
        return _decode_leniently(body, decode, kind)
    except msgspec.ValidationError as error:
        raise HookError(describe_mismatch(error)) from None
    except (msgspec.DecodeError, RecursionError):
        if b"\\u" in body:
            mended = replace_lone_surrogates(body)
            if mended != body:
                return decode_response(mended, decode, kind)
        raise HookError("the answer is not JSON") from None


def _decode_leniently(body: bytes, decode: Any, kind: Any) -> Response[Any]:
    try:
        response: Response[Any] = decode(body)
    except msgspec.ValidationError:
        if b"null" not in body:
            raise
        response = decode(drop_nulls(body, kind))
    return response


def transformed(transform: StatusTransform) -> Response[Any]:
    """Returns the answer that a status stands for (`http.status_to_code_transforms`)."""
    error, disconnect = transform.to_error, transform.to_disconnect
    if error.code:
        return Response(error=Error(error.code, error.message, error.temporary))
    return Response(disconnect=DisconnectAdvice(disconnect.code, disconnect.reason))
