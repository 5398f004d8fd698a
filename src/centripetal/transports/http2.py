"""HTTP/2 at the front door (RFC 9113): one connection, and an Exchange for each stream.

The library h2 keeps the state of the protocol (`http2_protocol.py`); frames of bodies, of which a fan-out makes many, are
written here. A connection is bounded in streams, header bytes, windows, resets and frames that ask for nothing; what waits
for its peer waits in the exchanges, whose owners bound it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from .addresses import remote_address
from .allowance import Allowance
from .deadlines import Expiring
from .exchange import Cause, Exchange
from .header_sections import BadSection, read_section
from .http2_output import Http2Output
from .http2_protocol import MAX_STREAMS, Http2Protocol
from .lingering import LingeringConnection

if TYPE_CHECKING:
    from .listener import Listener

_log = structlog.get_logger()

RESETS, RESETS_A_SECOND = MAX_STREAMS, 10.0
"""A client may give up so many requests at once, and then so many a second ("rapid reset")."""

IDLE_FRAMES, IDLE_FRAMES_A_SECOND = 1000, 100.0
"""The same for frames that ask for nothing: pings, settings, priorities, empty data, unknown ones."""

_READ_BYTES = 1024  # the library works through what it is given in one go
_SLICE_SECONDS = 0.005

_CODES = {
    Cause.DONE: ErrorCodes.NO_ERROR,
    Cause.CANCELLED: ErrorCodes.CANCEL,
    Cause.REFUSED: ErrorCodes.REFUSED_STREAM,
}


class Http2Connection(asyncio.Protocol):
    """The protocol of a connection; the Carrier of its exchanges.

    Args:
        listener: whose routes and limits it serves by.
    """

    __slots__ = (
        "_backlog", "_draining", "_exchanges", "_idle_frames", "_output", "_protocol", "_reading_paused", "_resets",
        "_transport", "bucket", "deadline", "listener",
    )  # fmt: skip

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._transport: asyncio.Transport | None = None
        self._protocol = Http2Protocol(listener.limits.head_bytes)
        self._exchanges: dict[int, Exchange] = {}
        self._output = Http2Output(self._protocol, self._exchanges, listener.loop)
        self._backlog = b""  # received and not looked at
        self._resets = Allowance(RESETS, RESETS_A_SECOND, listener.loop.time)
        self._idle_frames = Allowance(IDLE_FRAMES, IDLE_FRAMES_A_SECOND, listener.loop.time)
        self._draining = False
        self._reading_paused = False

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._output.transport = transport  # type: ignore[assignment]
        listener = self.listener
        listener.connections.add(self)
        listener.deadlines.watch(self, listener.limits.head_seconds)
        self._protocol.begin()
        self._output.collect()
        self._output.write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.listener.connections.discard(self)
        for exchange in list(self._exchanges.values()):
            exchange.lose()
        self.listener.deadlines.forget(self)
        self._output.close()
        self._backlog = b""

    def data_received(self, data: bytes) -> None:
        if self._reading_paused:
            self._backlog += data
        else:
            self._read(data)

    def pause_writing(self) -> None:
        self._output.pause()

    def resume_writing(self) -> None:
        self._output.resume()
        self._resume_reading()

    def expire(self) -> None:
        """The client did not begin, or there was no request for long."""
        if self._draining:
            self.abort()
        else:
            self.close_when_done()

    def drain(self) -> None:
        """Takes no further requests (GOAWAY); the peer sends those elsewhere that were on their way."""
        self.close_when_done()

    def close_when_done(self) -> None:
        """Takes no further requests (GOAWAY), and closes when those in work are done."""
        if self._transport is None:
            return
        if not self._draining:
            self._draining = True
            self._say_goodbye(ErrorCodes.NO_ERROR)
        if not self._exchanges:
            self._output.write()
            self._transport.close()
            self.listener.deadlines.watch(self, self.listener.limits.linger_seconds)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What exchanges ask for

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what the transport knows."""
        return self._transport.get_extra_info(name, default) if self._transport is not None else default

    def send_head(self, exchange: Exchange, fields: list[tuple[bytes, bytes]]) -> None:
        """Sends HEADERS; see Carrier."""
        if self.listener.alternative:
            fields = [*fields, (b"alt-svc", self.listener.alternative.encode())]
        with contextlib.suppress(ProtocolError):  # the peer has just reset the stream
            self._protocol.send_headers(exchange.stream_id, fields)
        self._output.collect()

    def wake(self, exchange: Exchange) -> None:
        """Puts an exchange into the queue; see Carrier."""
        self._output.wake(exchange)

    def send_now(self) -> None:
        """Sends what may be sent; see Carrier."""
        self._output.send_now()

    def consumed(self, exchange: Exchange, size: int) -> None:
        """Opens the windows again; see Carrier."""
        if size:
            self._protocol.acknowledge_received_data(size, exchange.stream_id)
            self._output.collect()

    def reset(self, exchange: Exchange, cause: Cause) -> None:
        """Sends RST_STREAM; see Carrier."""
        self._reset(exchange.stream_id, _CODES[cause])

    def discard(self, exchange: Exchange) -> None:
        """Forgets an exchange; without any the connection is idle, or done."""
        self._exchanges.pop(exchange.stream_id, None)
        self._output.forget(exchange.stream_id)
        if not self._exchanges and self._transport is not None:
            if self._draining:
                self.listener.loop.call_soon(self.close_when_done)
            else:
                self.listener.deadlines.watch(self, self.listener.limits.idle_seconds)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with contextlib.suppress(ProtocolError):  # it is closed already
            self._protocol.reset_stream(stream_id, code)
        self._output.collect()

    def _say_goodbye(self, code: ErrorCodes) -> None:
        self._output.add(self._protocol.goodbye(code))
        self._output.write()

    # Reading

    def _read(self, data: bytes) -> None:
        """Works through received bytes, for some milliseconds at most."""
        position, size = 0, len(data)
        started = self.listener.loop.time()
        while position < size:
            piece = data[position : position + _READ_BYTES] if size > _READ_BYTES else data
            position += len(piece)
            try:
                events = self._protocol.receive_data(piece)
                self._output.collect()
                for event in events:
                    if self._transport is None:
                        return
                    handle = _HANDLERS.get(event.__class__)
                    if handle is not None:
                        handle(self, event)
            except ProtocolError as error:
                self._output.collect()
                self._end(type(error).__name__)
            except Exception:  # noqa: BLE001  a mistake of ours or the library's ends this connection only
                _log.exception("http2_connection_failed")
                self.abort()
                return
            if self._transport is None:
                return
            if position < size and self.listener.loop.time() - started > _SLICE_SECONDS:
                self._backlog = data[position:]
                self._pause_reading()
                self.listener.loop.call_soon(self._resume_reading)
                break
        self._output.send_now()
        if self._output.is_congested:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        transport = self._transport
        if transport is None or not self._reading_paused or self._output.is_congested:
            return
        self._reading_paused = False
        if not transport.is_closing():
            transport.resume_reading()
        data, self._backlog = self._backlog, b""
        if data:
            self._read(data)

    def _end(self, reason: str, code: ErrorCodes | None = None) -> None:
        """Ends the connection for what its peer did, after what is to be said about it."""
        transport = self._transport
        if transport is None:
            return
        _log.debug("http2_connection_ended", reason=reason, address=remote_address(transport))
        if code is not None:
            self._say_goodbye(code)
        self._output.write()
        self.connection_lost(None)
        transport.set_protocol(LingeringConnection(self.listener, transport))
        if not transport.can_write_eof():
            transport.close()

    # Events

    def _begin(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        if self._draining or len(self._exchanges) >= MAX_STREAMS:
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        assert event.headers is not None and self._transport is not None
        try:
            if len(event.headers) > self.listener.limits.headers:
                raise BadSection("too many fields")
            request = read_section(event.headers, "2")
        except BadSection:
            self._reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
            self._count_reset()
            return
        request.is_tls = self.listener.is_tls
        request.remote_address = remote_address(self._transport)
        if not self._exchanges:
            self.listener.deadlines.forget(self)
        exchange = self._exchanges[stream_id] = Exchange(self, stream_id)
        exchange.begin(request, ended=event.stream_ended is not None)

    def _receive(self, event: DataReceived) -> None:
        size = event.flow_controlled_length
        data = event.data
        if not data and event.stream_ended is None:
            self._count_idle_frame(event)
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.receive(data, size)
        elif size:
            self._protocol.acknowledge_received_data(size, event.stream_id)
            self._output.collect()

    def _receive_end(self, event: StreamEnded) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.receive_end()

    def _lose(self, event: StreamReset) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.lose()
        self._count_reset()

    def _open_window(self, event: WindowUpdated) -> None:
        if event.stream_id:
            self._output.unblock(event.stream_id)
        self._output.schedule()

    def _take_settings(self, event: RemoteSettingsChanged) -> None:
        if not self._exchanges and not self._draining:
            self.listener.deadlines.watch(self, self.listener.limits.idle_seconds)
        self._protocol.bound_table()
        self._output.unblock_all()
        self._count_idle_frame(event)

    def _take_goodbye(self, event: ConnectionTerminated) -> None:
        """The peer opens no more streams; those that are open go on."""
        if event.error_code:
            self._end("goaway")
            return
        self._protocol.outlive_goodbye()
        self._draining = True
        if not self._exchanges:
            self.listener.loop.call_soon(self.close_when_done)

    def _count_reset(self) -> None:
        if not self._resets.take():
            self._end("too many resets", ErrorCodes.ENHANCE_YOUR_CALM)

    def _count_idle_frame(self, _event: Event) -> None:
        if not self._idle_frames.take():
            self._end("too many frames without use", ErrorCodes.ENHANCE_YOUR_CALM)


_HANDLERS: dict[type[Event], Callable[[Http2Connection, Any], None]] = {
    RequestReceived: Http2Connection._begin,
    DataReceived: Http2Connection._receive,
    StreamEnded: Http2Connection._receive_end,
    StreamReset: Http2Connection._lose,
    WindowUpdated: Http2Connection._open_window,
    RemoteSettingsChanged: Http2Connection._take_settings,
    ConnectionTerminated: Http2Connection._take_goodbye,
    SettingsAcknowledged: Http2Connection._count_idle_frame,
    PingAckReceived: Http2Connection._count_idle_frame,
    PingReceived: Http2Connection._count_idle_frame,
    PriorityUpdated: Http2Connection._count_idle_frame,
    UnknownFrameReceived: Http2Connection._count_idle_frame,
}
