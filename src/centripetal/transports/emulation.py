"""Where clients of streaming transports send their commands (`emulation.*`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ..connection.emulation import Emulated
from ..interfaces.request import HttpRequest, HttpResponse
from ..protocol.commands import EmulationRequest
from ..protocol.errors import ProtocolError
from ..protocol.json_codec import JSON
from ..protocol.protobuf_codec import PROTOBUF
from .cors import cors_headers, preflight, too_large
from .origins import Origins
from .streams import DEFAULT_BODY_BYTES, OCTETS

_STATUSES = {Emulated.TAKEN: 204, Emulated.UNKNOWN_NODE: 404, Emulated.BUSY: 503}


class EmulationEndpoint:
    """Passes commands to the connections that they are for (see endpoints.HttpEndpoint).

    Args:
        emulate: hands commands to a connection.
        origins: pages that may read the answers.
        max_body_bytes: of a request, 0 for the default.

    Attributes:
        max_body_bytes: larger bodies get 413.
    """

    def __init__(
        self, emulate: Callable[[EmulationRequest], Coroutine[Any, Any, Emulated]], origins: Origins, max_body_bytes: int = 0
    ) -> None:
        self.max_body_bytes = max_body_bytes if max_body_bytes > 0 else DEFAULT_BODY_BYTES
        self._emulate = emulate
        self._origins = origins

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        """Answers preflight requests, and refuses other methods and large bodies."""
        headers = cors_headers(self._origins, request)
        if request.method == "OPTIONS":
            return preflight(headers)
        if request.method != "POST":
            return HttpResponse(405, [("Allow", "POST, OPTIONS"), *headers])
        return HttpResponse(413, headers) if too_large(request, self.max_body_bytes) else None

    async def respond(self, request: HttpRequest, body: bytes) -> HttpResponse:
        """Takes commands; whether the session exists is nobody's business, so that 204 says nothing about it."""
        headers = cors_headers(self._origins, request)
        codec = PROTOBUF if request.headers.get("content-type") == OCTETS else JSON
        try:
            wanted = codec.decode_emulation(body)
        except ProtocolError:
            return HttpResponse(400, headers)
        return HttpResponse(_STATUSES[await self._emulate(wanted)], headers)
