"""The unidirectional WebSocket transport: one connect request up, then bare pushes down (`uni_websocket.*`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ..interfaces.request import HttpRequest, HttpResponse
from ..interfaces.transport import Encoding
from ..model import Disconnect
from ..model.errors import DISCONNECT_BAD_REQUEST
from ..protocol.commands import ConnectRequest
from ..protocol.errors import ProtocolError
from .clients import UnidirectionalClient
from .encodings import UNI_WEBSOCKET_JOINED, UNI_WEBSOCKET_JSON, deflate_encoding, disconnect_push
from .endpoints import AnswerWriter
from .handshakes import shake_hands
from .reception import Reception
from .settings import UniWebSocketSettings
from .streams import CONNECT_PARAMETER, decode_connect
from .websocket import WebSocketConnection, WebSocketEndpoint

PING_SECONDS = 25.0
PONG_SECONDS = 8.0
"""Ping frames are sent even where `client.ping_interval` turns messages off, to find out about dead peers."""

NewClient = Callable[[WebSocketConnection, HttpRequest], UnidirectionalClient]


class UniWebSocketEndpoint(WebSocketEndpoint):
    """Upgrades requests to unidirectional WebSocket connections.

    Args:
        settings: `uni_websocket.*`.
        reception: who may come in.
        new_client: makes the client of a connection.

    Attributes:
        settings: the same.
    """

    def __init__(self, settings: UniWebSocketSettings, reception: Reception, new_client: NewClient) -> None:
        super().__init__(
            settings,
            reception.origins,
            reception.admission,
            new_client,
            ping_interval_seconds=reception.ping_interval_seconds,
            pong_timeout_seconds=reception.pong_timeout_seconds,
        )
        self.settings = settings
        self._reception = reception
        self._new_listener = new_client

    def upgrade(
        self, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter
    ) -> asyncio.Protocol | HttpResponse:
        """Answers an opening handshake, whose query may have the connect request; see endpoints.UpgradeEndpoint."""
        settings, reception = self.settings, self._reception
        text = request.query_parameters.get(CONNECT_PARAMETER, "") if request.query else ""
        try:
            first = decode_connect(text.encode()) if text else None
        except ProtocolError:
            return HttpResponse(400)
        handshake = shake_hands(request, reception.origins, reception.admission, compression=settings.compression)
        if isinstance(handshake, HttpResponse):
            return handshake
        encoding: Encoding = UNI_WEBSOCKET_JSON
        bits = handshake.window_bits
        if bits:
            level, min_size = settings.compression_level, settings.compression_min_size
            encoding = deflate_encoding(False, level, min_size, bits, unidirectional=True)
        connection = UniWebSocketConnection(self, transport, encoding, bool(bits))
        writer.accept(transport, request, handshake.subprotocol, handshake.extensions)
        client = self._new_listener(connection, request)
        connection.client = FirstMessage(connection, client, first)
        connection.take_pong()
        return cast("asyncio.Protocol", connection)


class UniWebSocketConnection(WebSocketConnection):
    """One unidirectional WebSocket connection; the Transport of its client.

    Its clients answer no pings, but their WebSocket does: that is how a dead peer is noticed.
    """

    __slots__ = ("_awaits_pong", "_frame", "_settings")

    name = "uni_websocket"

    def __init__(
        self,
        endpoint: UniWebSocketEndpoint,
        transport: asyncio.Transport,
        encoding: Encoding,
        compression: bool = False,
    ) -> None:
        super().__init__(endpoint, transport, encoding, compression)
        self._frame = encoding.frame
        self._settings = endpoint.settings
        self._awaits_pong = False
        if endpoint.settings.join_push_messages:
            self.encoding = UNI_WEBSOCKET_JOINED
            self.write = self._write_joined

    def close(self, disconnect: Disconnect | None) -> None:
        """Sends a disconnect push, then begins the closing handshake; either may be turned off."""
        if disconnect is not None and not self._settings.disable_disconnect_push:
            push = disconnect_push(self.encoding, disconnect)
            if push is not None:
                self.write(self.encoding.frame(push))
        self.close_silently(disconnect)

    def close_silently(self, disconnect: Disconnect | None) -> None:
        """Closes without a push."""
        super().close(None if self._settings.disable_closing_handshake else disconnect)

    def leave(self) -> None:
        """Tells the client that nothing can be sent any more."""
        self._leave_client()

    def take_pong(self) -> None:
        """The peer is there; it is asked again after an interval."""
        self._awaits_pong = False
        if self.is_open:
            self._endpoint.deadlines.watch(self, self.ping_interval_seconds or PING_SECONDS)

    def expire(self) -> None:
        """Asks the peer for a sign of life, and ends the connection if there was none."""
        if not self.is_open:
            super().expire()
        elif self._awaits_pong:
            self._finish()
        else:
            self._awaits_pong = True
            self.send_native_ping()
            self._endpoint.deadlines.watch(self, self.pong_timeout_seconds or PONG_SECONDS)

    def _write_joined(self, data: bytes) -> None:
        """Makes everything that is written in one go one frame; the last newline is not part of it."""
        self._write_control(self._frame(data[:-1]))


class FirstMessage:
    """Takes the first message of a connection as its connect request and ignores the others (see TransportClient).

    Args:
        connection: where it comes from.
        client: that connects.
        request: from the query, None to wait for the first message.
    """

    __slots__ = ("_client", "_connection", "_waits")

    def __init__(
        self, connection: UniWebSocketConnection, client: UnidirectionalClient, request: ConnectRequest | None
    ) -> None:
        self._connection: UniWebSocketConnection | None = connection
        self._client = client
        self._waits = request is None
        if request is not None:
            asyncio.get_running_loop().call_soon(client.connect, request)

    def receive(self, message: bytes) -> None:
        """Connects with the first message; a malformed one ends the connection (3501)."""
        connection = self._connection
        if connection is None or not self._waits:
            return
        self._waits = False
        try:
            request = decode_connect(message)
        except ProtocolError:
            connection.close_silently(DISCONNECT_BAD_REQUEST)
            connection.leave()
        else:
            self._client.connect(request)

    def native_pong(self) -> None:
        """Tells the connection, which sent the ping."""
        if self._connection is not None:
            self._connection.take_pong()

    def writing_paused(self) -> None:
        """Passes on."""
        self._client.writing_paused()

    def writing_resumed(self) -> None:
        """Passes on."""
        self._client.writing_resumed()

    def transport_closed(self) -> None:
        """Passes on."""
        self._connection = None
        self._client.transport_closed()
