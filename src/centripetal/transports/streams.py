"""The endpoints of streaming transports: which requests open a stream, and which answer the others get."""

from __future__ import annotations

from ..interfaces.request import HttpRequest, HttpResponse
from ..protocol.commands import ConnectRequest
from ..protocol.errors import ProtocolError
from ..protocol.json_codec import JSON
from .cors import cors_headers, preflight, too_large
from .endpoints import OpenResponse
from .reception import Reception
from .streaming import StreamConnection, StreamForm, StreamRules

OCTETS = "application/octet-stream"
CONNECT_PARAMETER = "cf_connect"
DEFAULT_BODY_BYTES = 65536


class StreamEndpoint:
    """Opens streams (see endpoints.HttpEndpoint).

    Args:
        rules: of its streams.
        reception: who may come in.
        max_body_bytes: of a request, 0 for the default.

    Attributes:
        max_body_bytes: larger bodies get 413.
    """

    begins_connections = True

    def __init__(self, rules: StreamRules, reception: Reception, max_body_bytes: int = 0) -> None:
        self.max_body_bytes = max_body_bytes if max_body_bytes > 0 else DEFAULT_BODY_BYTES
        self._rules = rules
        self._reception = reception

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        """Refuses what cannot become a stream before its body is read."""
        kind, method = self._rules.kind, request.method
        if method == "POST" or (method == "GET" and kind.by_query):
            status = self._refusal(request)
            return HttpResponse(status, self._cors(request)) if status else None
        if method == "OPTIONS" and not kind.by_query:
            return preflight(self._cors(request))
        return HttpResponse(405, [("Allow", "GET, POST" if kind.by_query else "POST, OPTIONS"), *self._cors(request)])

    def respond(self, request: HttpRequest, body: bytes) -> HttpResponse | OpenResponse:
        """Opens a stream; a malformed connect request is 400, malformed commands are told in the stream."""
        kind = self._rules.kind
        by_query = request.method == "GET"
        if by_query:
            body = request.query_parameters.get(CONNECT_PARAMETER, "").encode()
        first: bytes | ConnectRequest = body
        if kind.unidirectional:
            try:
                first = ConnectRequest() if by_query and not body else decode_connect(body)
            except ProtocolError:
                return HttpResponse(400, self._cors(request))
        return StreamConnection(self._rules, self._form(request), request, first, self._cors(request))

    def _refusal(self, request: HttpRequest) -> int:
        """Returns the status that a request is refused with, 0 for none."""
        by_query = request.method == "GET" and not self._rules.kind.unidirectional
        if by_query and not request.query_parameters.get(CONNECT_PARAMETER):
            return 400
        if too_large(request, self.max_body_bytes):
            return 413
        return 0 if self._reception.admission.admit() else 503

    def _form(self, request: HttpRequest) -> StreamForm:
        kind = self._rules.kind
        if kind.protobuf_form is not None and request.headers.get("content-type") == OCTETS:
            return kind.protobuf_form
        return kind.form

    def _cors(self, request: HttpRequest) -> list[tuple[str, str]]:
        return cors_headers(self._reception.origins, request)


def decode_connect(text: bytes) -> ConnectRequest:
    """Decodes the connect request of a unidirectional client; `null` is an empty one.

    Raises:
        ProtocolError: it is malformed.
    """
    return ConnectRequest() if text.strip() == b"null" else JSON.decode_connect(text)
