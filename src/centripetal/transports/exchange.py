"""One request and its answer, where a connection carries many of them at once (HTTP/2, HTTP/3).

A carrier makes an Exchange for each stream that a request opens and passes on what the peer does: `begin`, `receive`,
`receive_end`, `lose`. The exchange finds the endpoint, bounds and collects the body, answers, or gives itself to a protocol as
its transport, just as `http.HttpConnection` does with a TCP connection. What is to be sent waits in the exchange until the
carrier, woken, takes as much as flow control lets it; so a slow reader's bytes are counted where TCP would count them.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

import structlog

from ..interfaces.request import HttpRequest, HttpResponse
from .deadlines import Expiring
from .endpoints import HttpEndpoint
from .exchange_writer import EXCHANGE_WRITER
from .header_sections import header_section
from .responses import plain
from .serving import respond, serve

if TYPE_CHECKING:
    from .carriers import Carrier

_log = structlog.get_logger()

HIGH_WATER_BYTES = 65536
LOW_WATER_BYTES = 16384
"""Water marks of what waits to be sent on a stream, as asyncio's own transports have them."""


class Cause(Enum):
    """Why a stream ends before both sides have ended it."""

    DONE = "the answer is complete, and nobody wants the rest of the request"
    CANCELLED = "it is given up"
    REFUSED = "nothing was done with the request; the client may repeat it"


class Exchange(asyncio.Transport):
    """One request and its answer; the transport of the protocol that it is given to.

    Args:
        carrier: of the stream.
        stream_id: the carrier's name of it.

    Attributes:
        stream_id: the same.
    """

    __slots__ = (
        "_body", "_carrier", "_closing", "_endpoint", "_heard", "_is_tunnel", "_lost", "_pending", "_pending_size",
        "_protocol", "_reading_paused", "_request", "_said", "_unread", "_unread_size", "_waits", "_writing_paused",
        "bucket", "deadline", "stream_id",
    )  # fmt: skip

    def __init__(self, carrier: Carrier, stream_id: int) -> None:
        super().__init__()
        self.stream_id = stream_id
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._carrier = carrier
        self._request: HttpRequest | None = None
        self._endpoint: HttpEndpoint | None = None
        self._body: bytearray | None = None
        self._protocol: asyncio.Protocol | None = None
        self._pending: list[bytes | memoryview] = []
        self._pending_size = 0
        self._unread = b""  # received while the protocol does not read
        self._unread_size = 0  # bytes of flow control that it stands for
        self._heard = False  # the peer's side has ended
        self._said = False  # our side has ended
        self._closing = False  # ... or will, after what waits
        self._lost = False
        self._is_tunnel = False  # see give_away()
        self._reading_paused = False
        self._writing_paused = False
        self._waits = False  # for its turn at the gate

    # What the carrier tells

    def begin(self, request: HttpRequest, *, ended: bool) -> None:
        """A request came.

        Args:
            request: its head.
            ended: it has no body.
        """
        listener = self._carrier.listener
        self._request = request
        self._heard = ended
        if request.path.encode("utf-8", "replace") in listener.routes.newcomers and not listener.gate.enter(self):
            self._waits = self._reading_paused = True
        else:
            serve(self, listener, request)

    def let_in(self) -> None:
        """Its turn at the gate has come; what came meanwhile follows."""
        request = self._request
        if request is None:
            return
        data, size, heard = self._unread, self._unread_size, self._heard
        self._unread, self._unread_size = b"", 0
        self._waits = self._reading_paused = False
        self._heard = heard and not size
        serve(self, self._carrier.listener, request)
        if size:
            self.receive(data, size)
            if heard:
                self.receive_end()

    def turn_away(self) -> None:
        """There is no room for it."""
        self._waits = self._reading_paused = False
        if self._request is not None:
            self.answer(plain(503))

    def receive(self, data: bytes, size: int) -> None:
        """A piece of the body came.

        Args:
            data: the bytes.
            size: what it takes of the flow-control window; may be more, by padding.
        """
        if self._reading_paused and not self._closing:
            self._unread += data
            self._unread_size += size
            return
        protocol, body, endpoint = self._protocol, self._body, self._endpoint
        if self._closing:
            pass
        elif protocol is not None:
            self._tell_data(protocol, data)
        elif body is not None and endpoint is not None:
            body += data
            if len(body) > endpoint.max_body_bytes:
                self.answer(plain(413))
        if not self._lost:
            self._carrier.consumed(self, size)

    def receive_end(self) -> None:
        """The peer has sent all of its side; does nothing if `begin` has said so already."""
        if self._heard:
            return
        self._heard = True
        if self._said:
            self._finish()
            return
        endpoint, body, request = self._endpoint, self._body, self._request
        if endpoint is not None and body is not None and request is not None:
            self._carrier.listener.deadlines.forget(self)
            self._body = self._endpoint = None
            respond(self, request, endpoint, bytes(body))
        elif not self._reading_paused:
            self._tell_end()

    def lose(self) -> None:
        """The peer has reset the stream, or the connection is gone."""
        self._finish()

    def take(self, limit: int) -> bytes | memoryview:
        """Takes what waits to be sent, at most `limit` bytes; some must wait (`get_write_buffer_size`)."""
        pending = self._pending
        piece = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        if len(piece) > limit:
            view = memoryview(piece)
            pending.append(view[limit:])
            piece = view[:limit]
        self._pending_size -= len(piece)
        if self._writing_paused and self._pending_size <= LOW_WATER_BYTES:
            self._writing_paused = False
            if self._protocol is not None:
                self._carrier.listener.loop.call_soon(self._tell_resumed)
        return piece

    def sent_end(self) -> None:
        """The stream's sending side has ended."""
        self._said = True
        if self._heard:
            self._finish()
        elif not self._is_tunnel:
            self._carrier.reset(self, Cause.DONE)
            self._finish()

    # What answers ask for

    @property
    def heard(self) -> bool:
        """The peer has sent all of its side."""
        return self._heard

    @property
    def without_body(self) -> bool:
        """The answer is to a HEAD."""
        return self._request is not None and self._request.method == "HEAD"

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Sends the head of an answer whose body is written.

        Raises:
            ValueError: a header contains a line break.
        """
        if not self._closing:
            fields = header_section(status, self._carrier.listener.writer.date(), headers)
            self._carrier.send_head(self, fields)

    def finish(self) -> None:
        """Ends our side after what was written, within the time that an idle connection has."""
        self.close()
        self.await_reader()

    def await_reader(self) -> None:
        """Gives the peer the time of an idle connection to read what waits."""
        if not self._lost:
            listener = self._carrier.listener
            listener.deadlines.watch(self, listener.limits.idle_seconds)

    def body_read(self) -> None:
        """No time limit holds any more."""
        self._carrier.listener.deadlines.forget(self)

    @property
    def is_full(self) -> bool:
        """More waits to be sent than the high-water mark."""
        return self._writing_paused

    # The transport of a protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what the connection knows."""
        return self._carrier.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Gives what comes to a protocol."""
        self._protocol = protocol  # type: ignore[assignment]

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing

    def can_write_eof(self) -> bool:
        """close() does not lose what was written, so that there is no need to."""
        return False

    def get_write_buffer_size(self) -> int:
        """Returns how many bytes wait for the connection or for flow control."""
        return self._pending_size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes, at the end of the loop's turn and as flow control allows."""
        if self._closing or not data:
            return
        if not self._pending:
            self._carrier.wake(self)
        self._pending.append(data)  # type: ignore[arg-type]
        self._pending_size += len(data)
        if self._pending_size > HIGH_WATER_BYTES and not self._writing_paused:
            self._carrier.send_now()
            if self._pending_size > HIGH_WATER_BYTES:
                self._writing_paused = True
                if self._protocol is not None:
                    self._protocol.pause_writing()

    def is_reading(self) -> bool:
        """Whether what comes is delivered."""
        return not self._reading_paused

    def pause_reading(self) -> None:
        """Keeps what comes; the peer may send no more than a window of it."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Delivers again, beginning in the next turn of the loop."""
        if self._reading_paused:
            self._reading_paused = False
            if self._unread_size or self._heard:
                self._reading_paused = True  # until then what comes has to queue behind
                self._carrier.listener.loop.call_soon(self._deliver)

    def close(self) -> None:
        """Ends our side after what was written; `connection_lost` follows when the peer has ended its side, too.

        The peer may let us wait for either, so that whoever closes has to watch the time and abort.
        """
        if not self._closing:
            self._closing = True
            if self._unread_size:
                self._carrier.consumed(self, self._unread_size)
                self._unread, self._unread_size = b"", 0
            if not self._pending:
                self._carrier.wake(self)

    def abort(self) -> None:
        """Ends both sides at once, dropping what waits."""
        if not self._lost:
            self._carrier.reset(self, Cause.CANCELLED)
            self._finish()

    def expire(self) -> None:
        """The body did not come in time (408), or the answer is not read."""
        if self._body is not None:
            self.answer(plain(408))
        else:
            self.abort()

    def await_body(self, endpoint: HttpEndpoint) -> None:
        """Collects the body, within its time, and has the endpoint answer then."""
        self._endpoint = endpoint
        self._body = bytearray()
        self.limit_body()

    def limit_body(self) -> None:
        """Gives the peer the time of a body."""
        listener = self._carrier.listener
        listener.deadlines.watch(self, listener.limits.body_seconds)

    def give_away(self, protocol: asyncio.Protocol, *, is_tunnel: bool = False) -> None:
        """Makes a protocol the exchange's for good.

        Args:
            protocol: has begun to answer.
            is_tunnel: both sides are the protocol's, so that ours may end before the peer's.
        """
        self._request = None
        if self._lost:
            self._carrier.listener.loop.call_soon(protocol.connection_lost, None)
            return
        self._protocol = protocol
        self._is_tunnel = is_tunnel
        if self._writing_paused:
            protocol.pause_writing()
        if is_tunnel and self._heard:
            self._carrier.listener.loop.call_soon(self._tell_end)

    def answer(self, response: HttpResponse) -> None:
        """Sends a whole response and ends the exchange; does nothing if the peer has gone."""
        if self._lost:
            return
        self._body = self._endpoint = None
        try:
            EXCHANGE_WRITER.respond(self, response)
        except ValueError:
            _log.exception("http_response_invalid")
            EXCHANGE_WRITER.respond(self, plain(500))
        self.finish()

    # Telling the protocol

    def _deliver(self) -> None:
        """Hands over what came while the protocol did not read."""
        protocol = self._protocol
        self._reading_paused = False
        if self._closing or protocol is None:
            return
        data, size = self._unread, self._unread_size
        self._unread, self._unread_size = b"", 0
        if size:
            self._tell_data(protocol, data)
            if not self._lost:
                self._carrier.consumed(self, size)
        if self._heard and not self._reading_paused:
            self._tell_end()

    def _tell_data(self, protocol: asyncio.Protocol, data: bytes) -> None:
        try:
            protocol.data_received(data)
        except Exception:  # noqa: BLE001  a mistake of ours ends this exchange, not all of the connection
            _log.exception("exchange_failed")
            self.abort()

    def _tell_end(self) -> None:
        protocol = self._protocol
        if protocol is not None and not self._closing and not protocol.eof_received():
            self.close()

    def _tell_resumed(self) -> None:
        if self._protocol is not None and not self._writing_paused:
            self._protocol.resume_writing()

    def _finish(self) -> None:
        """Leaves the carrier, and tells the protocol in the next turn, as asyncio does."""
        if self._lost:
            return
        self._lost = self._closing = self._heard = self._said = True
        listener = self._carrier.listener
        listener.deadlines.forget(self)
        self._pending.clear()
        self._pending_size = self._unread_size = 0
        self._unread = b""
        self._request = self._endpoint = self._body = None
        self._carrier.discard(self)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            listener.loop.call_soon(protocol.connection_lost, None)
