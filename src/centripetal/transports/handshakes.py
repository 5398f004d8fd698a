"""Opening handshakes of WebSockets: who is let in, and what is agreed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from ..protocol.websocket import choose_subprotocol, negotiate, refuse, refuse_tunnel
from .admission import Admission
from .origins import Origins
from .responses import plain

_log = structlog.get_logger("centripetal.transports")

_LOGGED_ORIGIN = 256


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is agreed on.

    Attributes:
        subprotocol: chosen one, empty for none.
        extensions: value for `Sec-WebSocket-Extensions`, empty for none.
        window_bits: of permessage-deflate, 0 without compression.
    """

    subprotocol: str
    extensions: str
    window_bits: int


NOTHING_AGREED = Handshake("", "", 0)


def shake_hands(
    request: HttpRequest,
    origins: Origins,
    admission: Admission,
    *,
    subprotocols: Sequence[str] = (),
    compression: bool = False,
) -> Handshake | HttpResponse:
    """Looks at an opening handshake.

    Args:
        request: its head.
        origins: which pages may connect.
        admission: whether there is room.
        subprotocols: that are understood.
        compression: permessage-deflate may be agreed on.

    Returns:
        What is agreed on, or the response that refuses.
    """
    if not admission.admit():
        return HttpResponse(503)
    headers = request.headers
    refusal = refuse_tunnel(request.protocol, headers) if request.protocol else refuse(request.method, headers)
    if refusal is not None:
        return plain(refusal[0], [("Sec-WebSocket-Version", "13")])
    if not origins.allows(headers.get("origin")):
        _log.info("origin_refused", origin=headers["origin"][:_LOGGED_ORIGIN])
        return plain(403)
    if "sec-websocket-protocol" not in headers and "sec-websocket-extensions" not in headers:
        return NOTHING_AGREED
    subprotocol, extensions, window_bits = "", "", 0
    if subprotocols and "sec-websocket-protocol" in headers:
        subprotocol = choose_subprotocol(headers["sec-websocket-protocol"], subprotocols)
    if compression and "sec-websocket-extensions" in headers:
        agreed = negotiate(headers["sec-websocket-extensions"])
        if agreed is not None:
            extensions, window_bits = agreed
    return Handshake(subprotocol, extensions, window_bits)
