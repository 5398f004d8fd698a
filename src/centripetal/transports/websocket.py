"""The WebSocket transport: the endpoint that upgrades requests, and the connection afterwards.

An idle connection owns no task, timer or buffer: the parser exists only while a frame or message is unfinished, and the
closing handshake's time limit is kept by one sweep for all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from ..interfaces.clock import Clock
from ..interfaces.request import HttpRequest, HttpResponse
from ..interfaces.transport import Encoding
from ..model import Disconnect
from ..protocol.websocket import (
    CLOSE,
    PING,
    PONG,
    VIOLATION,
    MessageLimits,
    MessageParser,
    close_frame,
    control_frame,
    ping_frame,
    pong_frame,
    whole_message,
)
from .admission import Admission
from .clients import TransportClient
from .deadlines import Deadlines, Expiring
from .encodings import WEBSOCKET_JSON, WEBSOCKET_PROTOBUF, deflate_encoding
from .endpoints import AnswerWriter
from .handshakes import shake_hands
from .origins import Origins
from .settings import WebSocketFrameSettings
from .tcp import write_last

CLOSE_SECONDS = 5.0
"""How long the peer may take for its part of the closing handshake."""

SLICE_SECONDS = 0.005
_MESSAGES_A_LOOK = 16

_OPEN, _CLOSING, _FINISHED = range(3)

SUBPROTOCOLS = ("centrifuge-json", "centrifuge-protobuf")


NewClient = Callable[["WebSocketConnection", HttpRequest], TransportClient]


class WebSocketEndpoint:
    """Upgrades requests to WebSocket connections.

    Args:
        settings: `websocket.*`.
        origins: which pages may connect.
        admission: whether there is room.
        new_client: makes the client of a connection.
        clock: not used for timeouts, which are the event loop's.
        ping_interval_seconds: `client.ping_interval`, 0 for no pings.
        pong_timeout_seconds: `client.pong_timeout`, 0 for no check.
    """

    def __init__(
        self,
        settings: WebSocketFrameSettings,
        origins: Origins,
        admission: Admission,
        new_client: NewClient,
        clock: Clock | None = None,
        *,
        ping_interval_seconds: float = 25.0,
        pong_timeout_seconds: float = 8.0,
    ) -> None:
        size = settings.message_size_limit if settings.message_size_limit > 0 else 65536
        self.limits = MessageLimits(size, settings.decompressed_message_size_limit or 10 * size)
        self.ping_interval_seconds = ping_interval_seconds
        self.pong_timeout_seconds = pong_timeout_seconds
        self.write_timeout_seconds = settings.write_timeout
        self._settings = settings
        self._origins = origins
        self._admission = admission
        self._new_client = new_client
        self._deadlines: Deadlines | None = None

    @property
    def deadlines(self) -> Deadlines:
        """Watches closing handshakes."""
        if self._deadlines is None:
            self._deadlines = Deadlines(asyncio.get_running_loop())
        return self._deadlines

    def upgrade(
        self, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter
    ) -> asyncio.Protocol | HttpResponse:
        """Answers an opening handshake; see endpoints.UpgradeEndpoint."""
        settings = self._settings
        handshake = shake_hands(
            request, self._origins, self._admission, subprotocols=SUBPROTOCOLS, compression=settings.compression
        )
        if isinstance(handshake, HttpResponse):
            return handshake
        protobuf = handshake.subprotocol == "centrifuge-protobuf"
        frame_ping_pong = False
        if request.query:
            query = request.query_parameters
            protobuf = protobuf or query.get("format") == "protobuf" or query.get("cf_protocol") == "protobuf"
            frame_ping_pong = query.get("cf_ws_frame_ping_pong") == "true"
        encoding: Encoding = WEBSOCKET_PROTOBUF if protobuf else WEBSOCKET_JSON
        bits = handshake.window_bits
        if bits:
            encoding = deflate_encoding(protobuf, settings.compression_level, settings.compression_min_size, bits)
        connection = WebSocketConnection(self, transport, encoding, bool(bits), frame_ping_pong)
        writer.accept(transport, request, handshake.subprotocol, handshake.extensions)
        connection.client = self._new_client(connection, request)
        return cast("asyncio.Protocol", connection)


class WebSocketConnection:
    """One WebSocket connection; the Transport of its client.

    Args:
        endpoint: whose limits it keeps.
        transport: a TCP or TLS connection, or a stream of one.
        encoding: of what is written.
        compression: permessage-deflate was agreed on.
        frame_ping_pong: `cf_ws_frame_ping_pong=true`.

    Attributes:
        client: what it carries; set before anything is received.
        opcode: of the message that is being delivered.
    """

    __slots__ = (
        "_backlog", "_compression", "_endpoint", "_parser", "_pong", "_reading_paused", "_state", "_transport",
        "_writing_paused", "bucket", "client", "deadline", "encoding", "frame_ping_pong", "opcode", "write",
    )  # fmt: skip

    name = "websocket"
    emulated = False

    def __init__(
        self,
        endpoint: WebSocketEndpoint,
        transport: asyncio.Transport,
        encoding: Encoding,
        compression: bool = False,
        frame_ping_pong: bool = False,
    ) -> None:
        self.client: TransportClient | None = None
        self.encoding = encoding
        self.frame_ping_pong = frame_ping_pong
        self.opcode = 0
        self.write: Callable[[bytes], None] = transport.write
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._endpoint = endpoint
        self._transport: asyncio.Transport | None = transport
        self._compression = compression
        self._parser: MessageParser | None = None  # only while something is unfinished
        self._backlog: bytes | None = None  # received and not looked at, while delivery has stopped
        self._pong: bytes | None = None  # to send when writing resumes
        self._reading_paused = False
        self._writing_paused = False
        self._state = _OPEN

    # What the client asks for

    @property
    def ping_interval_seconds(self) -> float:
        """Seconds between pings, 0 for none."""
        return self._endpoint.ping_interval_seconds

    @property
    def pong_timeout_seconds(self) -> float:
        """Seconds to wait for a pong, 0 for no check."""
        return self._endpoint.pong_timeout_seconds

    @property
    def write_timeout_seconds(self) -> float:
        """`websocket.write_timeout`."""
        return self._endpoint.write_timeout_seconds

    @property
    def is_open(self) -> bool:
        """Whether no side has begun to close."""
        return self._state == _OPEN

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send_native_ping(self) -> None:
        """Sends a ping frame."""
        if self._state == _OPEN:
            self._write_control(ping_frame())

    def pause_reading(self) -> None:
        """Stops delivery: what was received already waits, and the socket is not read."""
        if not self._reading_paused and self._state == _OPEN and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Delivers again, beginning in the next turn of the loop."""
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            if self._backlog is None:
                self._resume_socket()
            else:
                asyncio.get_running_loop().call_soon(self._read_backlog)

    def close(self, disconnect: Disconnect | None) -> None:
        """Begins the closing handshake; nothing is delivered any more.

        Args:
            disconnect: code and reason of the close frame; None closes without one.
        """
        if self._state != _OPEN or self._transport is None:
            return
        if disconnect is None:
            self._finish()
            return
        self._state = _CLOSING
        self._write_control(close_frame(disconnect.code, disconnect.reason))
        self._endpoint.deadlines.watch(self, CLOSE_SECONDS)
        # The peer's close frame may come behind what nobody wants any more.
        self.resume_reading()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._state = _FINISHED
            self._transport.abort()

    # What the event loop tells

    def data_received(self, data: bytes) -> None:
        if self._backlog is not None or self._reading_paused:
            self._backlog = data if self._backlog is None else self._backlog + data
        elif self._state != _FINISHED:
            self._read(data)

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self.client is not None:
            self.client.writing_paused()

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._pong is not None:
            if self._state == _OPEN:
                self._write_control(pong_frame(self._pong))
            self._pong = None
        if self.client is not None:
            self.client.writing_resumed()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _FINISHED
        self._transport = self._parser = self._backlog = None
        if self.bucket is not None:
            self._endpoint.deadlines.forget(self)
        self._leave_client()

    def expire(self) -> None:
        """The peer did not close in time."""
        self.abort()

    # Reading

    def _read(self, data: bytes) -> None:
        """Delivers what is whole in the received bytes and what came before them."""
        limit = self._endpoint.limits.message_bytes
        parser = self._parser
        if parser is not None:
            parser.feed(data)
        position = delivered = 0
        started = time.perf_counter()
        while True:
            payload = whole_message(data, position, limit) if parser is None else None
            if payload is not None:
                self.opcode = data[position] & 0x0F
                size = len(payload)
                position += size + (6 if size < 126 else 8)
                if self._state == _OPEN:
                    self.client.receive(payload)  # type: ignore[union-attr]
            else:
                if parser is None:
                    if position == len(data):
                        return
                    parser = MessageParser(self._endpoint.limits, self._compression)
                    parser.feed(data[position:])
                event = parser.next_event()
                if event is None:
                    self._parser = parser
                    return
                self._handle(event[0], event[1])
                if parser.between_messages:
                    data, position = parser.take_unread(), 0
                    parser = None
                self._parser = parser
            if self._state == _FINISHED:
                self._parser = None
                return
            delivered += 1
            if self._reading_paused or (
                delivered % _MESSAGES_A_LOOK == 0 and time.perf_counter() - started > SLICE_SECONDS
            ):
                self._stop_delivery(data[position:] if parser is None else b"")
                return

    def _stop_delivery(self, rest: bytes) -> None:
        """Keeps what was not looked at until the client resumes reading, or until the loop's next turn."""
        self._backlog = rest
        if not self._reading_paused and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_backlog)

    def _read_backlog(self) -> None:
        """Goes on with delivery."""
        data = self._backlog
        if data is None or self._reading_paused or self._state == _FINISHED:
            return
        self._backlog = None
        self._read(data)
        if self._backlog is None and not self._reading_paused:
            self._resume_socket()

    def _write_control(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)

    def _resume_socket(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def _handle(self, kind: int, payload: bytes) -> None:
        """Does what one event asks for."""
        client = self.client
        if kind == CLOSE:
            self._finish(last=control_frame(CLOSE, payload) if self._state == _OPEN else b"")
        elif kind == VIOLATION:
            if self._state == _OPEN:
                self._write_control(control_frame(CLOSE, payload))
            self._finish(linger=True)
        elif self._state != _OPEN or client is None:
            return
        elif kind == PING:
            if self._writing_paused:
                self._pong = payload
            else:
                self._write_control(pong_frame(payload))
        elif kind == PONG:
            client.native_pong()
        else:
            self.opcode = kind
            client.receive(payload)

    def _finish(self, *, last: bytes = b"", linger: bool = False) -> None:
        """Closes TCP after what is written, within the time of a closing handshake.

        Args:
            last: to be written before.
            linger: the peer may still be sending; closing at once could make it lose our close frame.
        """
        transport = self._transport
        self._state = _FINISHED
        self._backlog = None
        # Nothing may follow a close frame, so the client has to know before it writes again.
        self._leave_client()
        if transport is None or (last and write_last(transport, last)):
            return
        self._endpoint.deadlines.watch(self, CLOSE_SECONDS)
        if linger and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
            self._resume_socket()
        else:
            transport.close()

    def _leave_client(self) -> None:
        """Tells the client, once, that the connection is gone, and undoes the reference cycle."""
        client, self.client = self.client, None
        self.write = _discard
        if client is not None:
            client.transport_closed()


def _discard(data: bytes) -> None:
    """Takes what is written to a connection that is gone."""
