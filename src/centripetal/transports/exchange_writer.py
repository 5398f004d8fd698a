"""How answers begin on exchanges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from ..interfaces.request import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from .exchange import Exchange


class ExchangeWriter:
    """Begins answers on exchanges; see endpoints.AnswerWriter."""

    __slots__ = ()

    def open(self, transport: asyncio.Transport, headers: list[tuple[str, str]], body: bytes, *, chunked: bool) -> None:
        """Sends the head of an answer that ends with the stream."""
        cast("Exchange", transport).start(200, headers)
        transport.write(body)

    def respond(self, transport: asyncio.Transport, response: HttpResponse) -> None:
        """Sends a whole response."""
        exchange = cast("Exchange", transport)
        status, headers, body = response.status, list(response.headers), response.body
        if status >= 200 and status != 204 and status != 304:
            headers.append(("content-length", str(len(body))))
        else:
            body = b""
        exchange.start(status, headers)
        if not exchange.without_body:
            exchange.write(body)

    def accept(self, transport: asyncio.Transport, request: HttpRequest, subprotocol: str, extensions: str) -> None:
        """Opens the tunnel of an extended CONNECT (RFC 8441, section 5)."""
        headers = []
        if subprotocol:
            headers.append(("sec-websocket-protocol", subprotocol))
        if extensions:
            headers.append(("sec-websocket-extensions", extensions))
        cast("Exchange", transport).start(200, headers)


EXCHANGE_WRITER = ExchangeWriter()
