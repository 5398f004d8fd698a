"""The WebTransport transport: sessions over HTTP/3 whose first bidirectional stream carries the client protocol."""

from __future__ import annotations

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from .reception import Reception
from .responses import plain
from .session_carrier import SessionCarrier
from .settings import WebTransportSettings
from .webtransport_session import NewClient, SessionRules, WebTransportSession

DEFAULT_MESSAGE_BYTES = 65536

STREAM_SECONDS = 10.0
"""How long a session may be without its stream, where `client.stale_close_delay` does not say it."""

_LOGGED_ORIGIN = 256

_log = structlog.get_logger("centripetal.transports")


class WebTransportEndpoint:
    """Opens sessions.

    Args:
        settings: `webtransport.*`.
        reception: who may come in, and the pings.
        new_client: makes the client of a session when its stream opens.
        stream_seconds: how long a session may be without its stream, 0 for 10 seconds.

    Attributes:
        rules: of its sessions.
    """

    def __init__(
        self, settings: WebTransportSettings, reception: Reception, new_client: NewClient, stream_seconds: float = 0.0
    ) -> None:
        size = settings.message_size_limit
        self.rules = SessionRules(
            reception,
            new_client,
            size if size > 0 else DEFAULT_MESSAGE_BYTES,
            stream_seconds if stream_seconds > 0 else STREAM_SECONDS,
        )

    def open(
        self, request: HttpRequest, carrier: SessionCarrier, session_id: int
    ) -> WebTransportSession | HttpResponse:
        """Returns the session that an extended CONNECT asks for, or the response that refuses it.

        Args:
            request: with `:protocol` webtransport.
            carrier: its connection.
            session_id: number of its stream.
        """
        reception = self.rules.reception
        if not reception.admission.admit():
            return HttpResponse(503)
        origin = request.headers.get("origin")
        if not reception.origins.allows(origin):
            _log.info("origin_refused", origin=(origin or "")[:_LOGGED_ORIGIN])
            return plain(403)
        protobuf = bool(request.query) and request.query_parameters.get("cf_protocol") == "protobuf"
        return WebTransportSession(self.rules, carrier, session_id, request, protobuf)
