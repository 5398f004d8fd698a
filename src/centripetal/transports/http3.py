"""HTTP/3 on one QUIC connection: requests, and the sessions and streams of WebTransport.

aioquic reads packets and frames; here is what they mean to the server. A connection is written to once in a turn of the
event loop, and has one timer, for QUIC's own deadlines.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aioquic.h3.connection import ErrorCode
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic import events as quic_events

from ..interfaces.request import HttpRequest, HttpResponse
from .addresses import address_text
from .deadlines import Expiring
from .exchange import Cause, Exchange
from .header_sections import BadSection, header_section, read_section
from .http3_frames import BoundedHttp3
from .http3_streams import CODES, Http3Streams
from .quic_connection import BoundedQuicConnection
from .responses import plain
from .webtransport import WebTransportEndpoint

if TYPE_CHECKING:
    from .quic_listener import QuicListener

_MALFORMED = int(ErrorCode.H3_MESSAGE_ERROR)
_STREAM_REJECTED = 0x3994BD84
"""WEBTRANSPORT_BUFFERED_STREAM_REJECTED: the stream belongs to no session."""

_WEBTRANSPORT = "webtransport"
_SESSION_HEADERS = [("sec-webtransport-http3-draft", "draft02")]


class Http3Connection(Http3Streams):
    """One QUIC connection of a client.

    Args:
        owner: the port that it came to.
        quic: its QUIC state.

    Attributes:
        connection_ids: under which the port finds it.
        is_established: the handshake is complete.
        is_dirty: it is on the port's list of those with something to send.
    """

    __slots__ = (
        "_owner", "_timer", "_timer_at", "bucket", "connection_ids", "deadline", "is_dirty", "is_established",
    )  # fmt: skip

    def __init__(self, owner: QuicListener, quic: BoundedQuicConnection) -> None:
        super().__init__(owner.front, owner.deadlines, quic)
        self.connection_ids: set[bytes] = set()
        self.is_established = False
        self.is_dirty = False
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._owner: QuicListener | None = owner
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        owner.deadlines.watch(self, owner.limits.handshake_seconds)

    # What the port tells

    def receive(self, data: bytes, address: Any) -> None:
        """Takes a datagram."""
        owner = self._owner
        if owner is not None:
            self.quic.receive_datagram(data, address, owner.loop.time())
            self._handle_events()
            self.awaken()

    def transmit(self) -> None:
        """Sends what waits, as far as the peer and the network take it, and sets the timer."""
        self.is_dirty = False
        owner = self._owner
        if owner is None:
            return
        self.send_now()
        for data, address in self.quic.datagrams_to_send(owner.loop.time()):
            owner.send(data, address)
        if self.quic.is_ending:
            self.lose()
        else:
            self._set_timer()

    def drain(self) -> None:
        """Takes no further requests; closes when nothing is in work."""
        if self.is_idle:
            self.close()
        elif self._http is not None:
            self._http.go_away(max([*self._exchanges, *self._sessions]) + 4)
            self.awaken()

    def close(self) -> None:
        """Ends the connection, after what can be sent at once."""
        self.transmit()
        if self._owner is not None:
            self.quic.close(error_code=ErrorCode.H3_NO_ERROR)
            self.transmit()

    def finish_sessions(self) -> None:
        """The server stops: sessions end without any more waiting."""
        for session in list(self._sessions.values()):
            session.finish()

    def expire(self) -> None:
        """The handshake took too long, or nothing was asked for too long."""
        owner = self._owner
        if owner is not None:
            if self.is_idle or not self.is_established:
                self.close()
            else:
                owner.deadlines.watch(self, owner.limits.idle_seconds)

    def lose(self) -> None:
        """The connection is over."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        owner.forget(self)
        for session in list(self._sessions.values()):
            session.lose()
        for exchange in list(self._exchanges.values()):
            exchange.lose()
        self._woken.clear()
        self._http = self._writers = self._held = None
        self.quic.dismantle()

    # What QUIC tells

    def _handle_events(self) -> None:
        while self._owner is not None:
            event = self.quic.next_event()
            if event is None:
                break
            if isinstance(event, quic_events.StreamDataReceived):
                self._take_data(event)
            elif isinstance(event, quic_events.StreamReset | quic_events.StopSendingReceived):
                self._take_reset(event)
            elif isinstance(event, quic_events.ConnectionIdIssued):
                self._owner.add(event.connection_id, self)
            elif isinstance(event, quic_events.ConnectionIdRetired):
                self._owner.remove(event.connection_id, self)
            elif isinstance(event, quic_events.ProtocolNegotiated):
                limits, sessions = self._owner.limits, bool(self._owner.sessions)
                self._http = BoundedHttp3(
                    self.quic, head_bytes=limits.head_bytes, headers=limits.headers, webtransport=sessions
                )
            elif isinstance(event, quic_events.HandshakeCompleted):
                self._owner.established(self)
            elif isinstance(event, quic_events.ConnectionTerminated):
                self.lose()
        if self._writers:
            self._writers = [session for session in self._writers if session.writing_progressed()] or None

    def _take_data(self, event: quic_events.StreamDataReceived) -> None:
        if self._http is None:
            return
        stream_id = event.stream_id
        self.quic.deliver(stream_id, len(event.data))
        overhead = len(event.data)
        for http_event in self._http.handle_event(event):
            overhead -= self._take_http(http_event)
        if self._owner is not None and overhead > 0 and not (self._held and stream_id in self._held):
            self.quic.consume(stream_id, overhead)

    def _take_reset(self, event: quic_events.StreamReset | quic_events.StopSendingReceived) -> None:
        http, stream_id = self._http, event.stream_id
        if http is None:
            return
        http.handle_event(event)
        if isinstance(event, quic_events.StreamReset):
            self.quic.consume_reset(stream_id)
        if stream_id in self._exchanges:
            self._exchanges[stream_id].lose()
            self._break(stream_id, CODES[Cause.CANCELLED])
        elif stream_id in self._sessions:
            self._sessions[stream_id].abort()
        else:
            for session in list(self._sessions.values()):
                session.stream_stopped(stream_id)

    def _take_http(self, event: H3Event) -> int:
        """Passes on what came; returns how many bytes of it will be told of by `consumed`."""
        if isinstance(event, DataReceived):
            exchange = self._exchanges.get(event.stream_id)
            if exchange is not None:
                if event.data:
                    exchange.receive(event.data, len(event.data))
                if event.stream_ended:
                    exchange.receive_end()
                return len(event.data)
            session = self._sessions.get(event.stream_id)
            if session is not None:
                session.take_capsules(event.data, event.stream_ended)
        elif isinstance(event, WebTransportStreamDataReceived):
            session = self._sessions.get(event.session_id)
            if session is None or event.stream_id & 2:  # one-way streams have no use
                self._break(event.stream_id, _STREAM_REJECTED)
            else:
                session.take_stream(event.stream_id, event.data, event.stream_ended)
        elif isinstance(event, HeadersReceived):
            self._take_section(event)
        return 0

    def _take_section(self, event: HeadersReceived) -> None:
        stream_id, ended = event.stream_id, event.stream_ended
        if stream_id in self._exchanges:  # a trailer
            if ended:
                self._exchanges[stream_id].receive_end()
        elif stream_id in self._sessions:
            if ended:
                self._sessions[stream_id].take_capsules(b"", True)
        elif self._owner is None or self._owner.draining:
            self._break(stream_id, CODES[Cause.REFUSED])
        else:
            try:
                request = read_section(event.headers, "3")
            except BadSection:
                self._break(stream_id, _MALFORMED)
                return
            request.is_tls = True
            request.remote_address = address_text(self.quic.get_peer_address())
            endpoint = self._owner.sessions.get(request.path)
            if endpoint is not None:
                newcomer = SessionRequest(self, endpoint, request, stream_id)
                if self.listener.gate.enter(newcomer):
                    newcomer.let_in()
                return
            exchange = self._exchanges[stream_id] = Exchange(self, stream_id)
            exchange.begin(request, ended=ended)

    def open_session(self, endpoint: WebTransportEndpoint, request: HttpRequest, stream_id: int) -> None:
        """Answers a request for a session."""
        if self.is_lost:
            return
        outcome = endpoint.open(request, self, stream_id) if request.protocol == _WEBTRANSPORT else plain(400)
        if isinstance(outcome, HttpResponse):
            self.refuse_session(outcome, stream_id)
        else:
            self._sessions[stream_id] = outcome
            self._send_fields(stream_id, header_section(200, self.listener.writer.date(), _SESSION_HEADERS))

    def refuse_session(self, response: HttpResponse, stream_id: int) -> None:
        """Answers a request for a session with a whole response."""
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        self._send_fields(stream_id, header_section(response.status, self.listener.writer.date(), headers))
        self.send_capsule(stream_id, response.body)
        self.stop(stream_id)

    def request_ended(self) -> None:
        """An exchange or a session is over."""
        owner = self._owner
        if owner is not None and self.is_idle:
            owner.deadlines.watch(self, owner.limits.idle_seconds)
            if owner.draining:
                owner.loop.call_soon(self.close)

    def awaken(self) -> None:
        """Has what waits sent at the end of the turn."""
        if not self.is_dirty and self._owner is not None:
            self.is_dirty = True
            self._owner.wake(self)

    # Time

    def _set_timer(self) -> None:
        """Sets the timer, unless one is set that comes first; it then looks again."""
        at = self.quic.get_timer()
        owner = self._owner
        if at is None or owner is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = owner.loop.call_at(at, self._take_time)

    def _take_time(self) -> None:
        self._timer = None
        owner = self._owner
        if owner is None:
            return
        now = max(self._timer_at, owner.loop.time())
        at = self.quic.get_timer()
        if at is not None and at > now:
            self._set_timer()
            return
        self.quic.handle_timer(now)
        self._handle_events()
        self.awaken()


class SessionRequest:
    """A request for a session, for as long as it waits at the gate; see gate.Newcomer.

    Args:
        connection: where it came.
        endpoint: that it is for.
        request: its head.
        stream_id: of it.
    """

    __slots__ = ("_connection", "_endpoint", "_request", "_stream_id")

    def __init__(
        self, connection: Http3Connection, endpoint: WebTransportEndpoint, request: HttpRequest, stream_id: int
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._request = request
        self._stream_id = stream_id

    def let_in(self) -> None:
        """Opens the session, or refuses it for another reason."""
        self._connection.open_session(self._endpoint, self._request, self._stream_id)

    def turn_away(self) -> None:
        """Refuses it."""
        self._connection.refuse_session(HttpResponse(503), self._stream_id)
