"""One TCP connection at the front door: HTTP/1.x until something else takes it over.

Requests of a connection are served strictly one after the other; what comes meanwhile waits as raw bytes with reading
paused. An idle connection holds no parser, no buffer and no timer.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from ..interfaces.request import HttpResponse
from .addresses import remote_address
from .answering import Answering
from .bodies import BadBody, ChunkedBody, SizedBody
from .endpoints import HttpEndpoint, OpenResponse, UpgradeEndpoint
from .fallback import FallbackProtocol
from .heads import CHUNKED, BadHead, Head, KnownHead
from .outcomes import open_up, outcome_of, response_of
from .responses import CONTINUE, plain

if TYPE_CHECKING:
    from .listener import Listener

_log = structlog.get_logger()

_SLICE_SECONDS = 0.005
_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class HttpConnection(Answering):
    """The protocol of a fresh connection.

    Args:
        listener: whose routes and limits it serves by.
    """

    __slots__ = ("_admitted", "_body", "_endpoint", "_handed_over", "_head", "_known", "_unread")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._unread = b""
        self._head: Head | None = None  # of the request whose body is being read
        self._endpoint: HttpEndpoint | None = None
        self._body: SizedBody | ChunkedBody | None = None
        self._known: KnownHead | None = None  # of the request before, if it may come again
        self._admitted = False  # the next request has passed the gate
        self._handed_over = False  # the fallback application answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._listener.connections.add(self)
        self._listener.deadlines.watch(self, self._listener.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._unread = b""
        self._body = self._head = self._known = None
        self._out.clear()

    def eof_received(self) -> bool:
        # A client may close its side after the request; the response still goes out.
        self._eof = True
        return self._busy

    def resume_writing(self) -> None:
        self._writing_paused = False
        if not self._busy:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._closing and not self._busy:
            return
        if self._busy or self._writing_paused:
            self._unread += data
            self._pause_reading()
        else:
            self._serve(self._unread + data if self._unread else data)

    def expire(self) -> None:
        """Ends a connection that was idle or slow for too long."""
        transport = self._transport
        if transport is None:
            return
        if self._handed_over:
            transport.abort()
        elif self._busy:
            self._listener.deadlines.watch(self, self._listener.limits.idle_seconds)
        elif self._closing or (not self._unread and self._head is None):
            if self._closing or transport.get_write_buffer_size():
                transport.abort()
            else:
                transport.close()
        else:
            self._refuse(408)

    def drain(self) -> None:
        """A request may be on its way already: its response closes the connection."""

    def close_when_done(self) -> None:
        """Closes at once when idle, otherwise after the response in work."""
        self._closing = True
        if not self._busy and self._transport is not None:
            self._transport.close()

    def body_read(self) -> None:
        """The fallback application has the whole body; it may take its time for the response."""
        self._listener.deadlines.forget(self)

    def take_back(self, unread: bytes, writing_paused: bool) -> None:
        """Goes on after another protocol served a request on this connection."""
        self._busy = self._handed_over = False
        self._writing_paused = writing_paused
        self._unread = unread
        if self._closing and self._transport is not None:
            self._transport.close()
            return
        self._go_on()

    # Reading

    def _serve(self, data: bytes) -> None:
        """Serves the requests in `data`; what is left becomes `_unread`."""
        self._unread = b""
        size = len(data)
        position = 0
        started = 0.0
        while position < size:
            known = self._known
            if self._head is not None:
                position = self._read_body(data, position)
            elif known is not None and (end := known.find_end(data, position, self._listener.routes)):
                position += len(known.text)
                self._respond(known.head, known.endpoint, data[position:end])
                position = end
            else:
                while data.startswith(b"\r\n", position):
                    position += 2
                end = data.find(b"\r\n\r\n", position)
                limit = self._listener.limits.head_bytes
                if (end if end >= 0 else size) - position > limit:
                    self._refuse(431)
                    break
                if end < 0 or self._waits_at_gate(data, position):
                    break
                try:
                    position = self._begin(data, position, end + 4)
                except Exception:  # noqa: BLE001  an endpoint's mistake must not end as a silent reset
                    _log.exception("http_request_failed")
                    self._refuse(500)
                    break
            if self._transport is None or self._closing or self._busy or self._writing_paused:
                break
            if position < size and self._head is None:
                now = self._listener.loop.time()
                if not started:
                    started = now
                elif now - started > _SLICE_SECONDS:
                    self._busy = True
                    self._listener.loop.call_soon(self._next_slice)
                    break
        if self._transport is None:
            return
        if not self._closing and position < size:
            self._unread = data[position:]
        self._flush()
        if not self._busy and not self._closing:
            self._set_deadline()

    def _waits_at_gate(self, data: bytes, position: int) -> bool:
        """Whether the request comes from a newcomer who has to wait; let_in() or turn_away() follows then."""
        if self._admitted:
            self._admitted = False
            return False
        start = data.find(b" ", position, position + 16) + 1
        end = data.find(b" ", start, start + 256)
        path = data[start:end].partition(b"?")[0]
        self._busy = path in self._listener.routes.newcomers and not self._listener.gate.enter(self)
        return self._busy

    def let_in(self) -> None:
        """The newcomer's turn has come."""
        if self._closing:
            self.turn_away()
        else:
            self._admitted = True
            self._next_slice()

    def turn_away(self) -> None:
        """There is no room for the newcomer."""
        self._busy = False
        if self._transport is not None:
            self._unread = b""
            self._closing = True
            self._out.append(_NO_ROOM)
            self._flush()

    def _next_slice(self) -> None:
        self._busy = False
        if self._transport is not None:
            self._go_on()

    def _go_on(self) -> None:
        self._resume_reading()
        if self._unread and not self._closing and not self._writing_paused:
            self._serve(self._unread)
        elif not self._closing:
            self._set_deadline()

    def _set_deadline(self) -> None:
        """Gives the next request its time; that of a head or body that has begun does not move with its bytes."""
        limits, deadlines = self._listener.limits, self._listener.deadlines
        if self._eof and not self._writing_paused and self._transport is not None:
            # The client closed its side while something else was to be done first, and nothing can follow.
            self._transport.close()
        elif not self._unread and self._head is None:
            deadlines.put_off(self, limits.idle_seconds)
        elif self._head is None and self.deadline - self._listener.loop.time() > limits.head_seconds:
            deadlines.watch(self, limits.head_seconds)

    def _begin(self, data: bytes, start: int, position: int) -> int:
        """Takes a whole head; returns the position behind what it read."""
        listener = self._listener
        try:
            head = listener.heads.read(data[start:position])
        except BadHead as error:
            self._refuse(error.status)
            return position
        request = head.request
        assert self._transport is not None
        request.is_tls = listener.is_tls
        request.remote_address = partial(remote_address, self._transport)
        endpoint = listener.routes.find(request.path)
        if endpoint is None:
            upgrading = listener.routes.find_upgrade(request.path)
            if upgrading is not None:
                return self._upgrade(head, upgrading, data, position)
            if listener.fallback is not None:
                return self._hand_over(head, data, start, position)
            return self._respond_early(head, plain(404), data, position)
        early = endpoint.begin(request)
        length = head.body_length
        if early is None and length > endpoint.max_body_bytes:
            early = plain(413)
        if early is not None:
            return self._respond_early(head, early, data, position)
        end = position + length
        if 0 <= length and end <= len(data):
            if head.keep_alive and getattr(endpoint, "forgets_requests", False):
                self._known = KnownHead(data[start:position], head, endpoint, listener.routes)
            self._respond(head, endpoint, data[position:end])
            return end
        self._head = head
        self._endpoint = endpoint
        self._body = ChunkedBody(endpoint.max_body_bytes) if length == CHUNKED else SizedBody(length)
        if head.expects_continue and position == len(data):
            self._out.append(CONTINUE)
        listener.deadlines.watch(self, listener.limits.body_seconds)
        return position

    def _upgrade(self, head: Head, endpoint: UpgradeEndpoint, data: bytes, position: int) -> int:
        """Gives the connection to an upgraded protocol for good, unless the endpoint refuses."""
        transport = self._transport
        assert transport is not None
        self._flush()
        outcome = endpoint.upgrade(head.request, transport, self._listener.writer)
        if isinstance(outcome, HttpResponse):
            return self._respond_early(head, outcome, data, position)
        self._give_away(outcome)
        if position < len(data):
            outcome.data_received(data[position:])
        return len(data)

    def _read_body(self, data: bytes, position: int) -> int:
        head, endpoint, body = self._head, self._endpoint, self._body
        assert head is not None and endpoint is not None and body is not None
        try:
            rest = body.feed(data[position:])
        except BadBody as error:
            self._refuse(error.status)
            return position
        if not body.complete:
            return len(data)
        whole = bytes(body.body)
        self._head = self._endpoint = self._body = None
        self._respond(head, endpoint, whole)
        return len(data) - len(rest)

    # Answering

    def _respond(self, head: Head, endpoint: HttpEndpoint, body: bytes) -> None:
        outcome = outcome_of(endpoint, head.request, body)
        if isinstance(outcome, HttpResponse):
            self._send(head, outcome)
        elif isinstance(outcome, asyncio.Future):
            self._wait(head, outcome)
        else:
            self._open_up(head, outcome)

    def _open_up(self, head: Head, outcome: OpenResponse) -> None:
        """Gives the connection to an answer that stays open for good, unless it fails to begin."""
        assert self._transport is not None
        self._flush()
        refusal = open_up(outcome, head.request, self._transport, self._listener.writer)
        if refusal is None:
            self._give_away(outcome)
        else:
            self._send(head, refusal)

    def _wait(self, head: Head, task: asyncio.Future[HttpResponse]) -> None:
        self._busy = True

        def finished(task: asyncio.Future[HttpResponse]) -> None:
            self._busy = False
            response = response_of(task)
            if self._transport is not None:
                self._closing = self._closing or self._eof
                self._send(head, response)
                self._flush()
                self._go_on()

        task.add_done_callback(finished)

    def _respond_early(self, head: Head, response: HttpResponse, data: bytes, position: int) -> int:
        """Answers without reading the body; the connection goes on only if all of it is here already."""
        length = head.body_length
        if length == CHUNKED or length > len(data) - position:
            head.keep_alive = False
            self._lingers = True
            length = 0
        self._send(head, response)
        return position + length

    def _refuse(self, status: int) -> None:
        """Answers what cannot be read on, and closes."""
        self._head = self._endpoint = self._body = None
        self._out.append(self._listener.writer.encode(plain(status), close=True))
        self._closing = self._lingers = True
        self._flush()

    def _hand_over(self, head: Head, data: bytes, start: int, position: int) -> int:
        """Gives the connection to the fallback application for one request."""
        transport, listener = self._transport, self._listener
        assert transport is not None and listener.fallback is not None
        self._flush()
        self._busy = self._handed_over = True
        self._resume_reading()
        length = head.body_length
        if length <= 0:
            listener.deadlines.forget(self)
        else:
            listener.deadlines.watch(self, listener.limits.body_seconds)
        protocol = FallbackProtocol(listener.fallback, self, -1 if length == CHUNKED else length)
        transport.set_protocol(protocol)
        protocol.begin(transport, data[start:position], data[position:])
        return len(data)
