"""The streams of an HTTP/3 connection, as exchanges and WebTransport sessions use them."""

from __future__ import annotations

import contextlib
from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from aioquic.h3.connection import ErrorCode, ProtocolError

from .deadlines import Deadlines
from .exchange import Cause, Exchange
from .http3_frames import BoundedHttp3
from .listener import Listener
from .quic_connection import BoundedQuicConnection

if TYPE_CHECKING:
    from .webtransport_session import WebTransportSession

SEND_BYTES = 256 * 1024
"""So much of an answer is handed to QUIC before its peer has acknowledged it."""

CODES = {
    Cause.DONE: int(ErrorCode.H3_NO_ERROR),
    Cause.CANCELLED: int(ErrorCode.H3_REQUEST_CANCELLED),
    Cause.REFUSED: int(ErrorCode.H3_REQUEST_REJECTED),
}


class Http3Streams(metaclass=ABCMeta):
    """What exchanges and sessions ask of their connection; see exchange.Carrier and session_carrier.SessionCarrier.

    Args:
        listener: whose routes requests are served by.
        deadlines: for sessions.
        quic: the connection's QUIC state.

    Attributes:
        listener: the same.
        deadlines: the same.
        quic: the same.
        is_lost: the connection is over, and so is its QUIC state.
    """

    __slots__ = (
        "_exchanges", "_held", "_http", "_pumping", "_sessions", "_woken", "_writers", "deadlines", "is_lost", "listener",
        "quic",
    )  # fmt: skip

    def __init__(self, listener: Listener, deadlines: Deadlines, quic: BoundedQuicConnection) -> None:
        self.listener = listener
        self.deadlines = deadlines
        self.quic = quic
        self.is_lost = False
        self._http: BoundedHttp3 | None = None
        self._exchanges: dict[int, Exchange] = {}
        self._woken: dict[int, Exchange] = {}  # with something to send
        self._pumping = False
        self._sessions: dict[int, WebTransportSession] = {}
        self._held: set[int] | None = None  # streams of sessions that do not read what is delivered
        self._writers: list[WebTransportSession] | None = None  # sessions that wait for acknowledgements

    @abstractmethod
    def awaken(self) -> None:
        """Has what waits sent at the end of the turn."""

    @abstractmethod
    def request_ended(self) -> None:
        """An exchange or a session is over."""

    @property
    def is_idle(self) -> bool:
        """Nothing is in work."""
        return not self._sessions and not self._exchanges

    # What exchanges ask for (see exchange.Carrier)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns the peer's address; see Carrier."""
        return self.quic.get_peer_address() if name == "peername" and not self.is_lost else default

    def send_head(self, exchange: Exchange, fields: list[tuple[bytes, bytes]]) -> None:
        """Sends a head; see Carrier."""
        self._send_fields(exchange.stream_id, fields)

    def wake(self, exchange: Exchange) -> None:
        """Sends what waits in an exchange by the end of the turn; see Carrier."""
        self._woken[exchange.stream_id] = exchange
        self.awaken()

    def send_now(self) -> None:
        """Hands to QUIC what it may have of woken exchanges; see Carrier."""
        if self._pumping or not self._woken:
            return
        self._pumping = True
        try:
            for exchange in list(self._woken.values()):
                self._pump(exchange)
        finally:
            self._pumping = False

    def consumed(self, exchange: Exchange, size: int) -> None:
        """Lets the peer send more; see Carrier."""
        if not self.is_lost:
            self.quic.consume(exchange.stream_id, size)
            self.awaken()

    def reset(self, exchange: Exchange, cause: Cause) -> None:
        """Ends a stream at once; see Carrier."""
        if cause is Cause.DONE:
            self.stop(exchange.stream_id)
        else:
            self._break(exchange.stream_id, CODES[cause])

    def discard(self, exchange: Exchange) -> None:
        """Forgets an exchange; see Carrier."""
        self._woken.pop(exchange.stream_id, None)
        if self._exchanges.pop(exchange.stream_id, None) is not None:
            self._finish_request(exchange.stream_id)

    # What sessions ask for (see session_carrier.SessionCarrier)

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> int:
        """Writes to a stream; see SessionCarrier."""
        if self.is_lost:
            return -1
        try:
            self.quic.send_stream_data(stream_id, data, end)
        except (RuntimeError, ValueError):  # it was reset or ended, which an event is about to tell
            return -1
        if end and self._http is not None:
            self._http.finish_sending(stream_id)
        self.awaken()
        return self.quic.unacknowledged_bytes(stream_id)

    def buffered_bytes(self, stream_id: int) -> int:
        """Returns what the peer has not acknowledged; see SessionCarrier."""
        return self.quic.unacknowledged_bytes(stream_id) if not self.is_lost else 0

    def refuse(self, stream_id: int) -> None:
        """Ends a stream at once; see SessionCarrier."""
        self._break(stream_id, CODES[Cause.CANCELLED])

    def stop(self, stream_id: int) -> None:
        """Has the peer stop sending; see SessionCarrier."""
        if not self.is_lost:
            self.quic.stop_receiving(stream_id, CODES[Cause.DONE])
            self.awaken()

    def hold(self, stream_id: int) -> None:
        """Leaves data unread; see SessionCarrier."""
        if self._held is None:
            self._held = set()
        self._held.add(stream_id)

    def release(self, stream_id: int) -> None:
        """Counts held data as read; see SessionCarrier."""
        if self._held is not None:
            self._held.discard(stream_id)
            self._held = self._held or None
        if not self.is_lost:
            self.quic.consume_rest(stream_id)
            self.awaken()

    def send_capsule(self, session_id: int, capsule: bytes) -> None:
        """Ends a session's request; see SessionCarrier."""
        if self._http is not None:
            with contextlib.suppress(RuntimeError, ValueError, ProtocolError):  # as in send()
                self._http.send_data(session_id, capsule, end_stream=True)
            self.awaken()

    def watch_writing(self, session: WebTransportSession) -> None:
        """Tells a session of progress; see SessionCarrier."""
        if self._writers is None:
            self._writers = []
        self._writers.append(session)

    def send_ping(self) -> None:
        """Sends QUIC's ping; see SessionCarrier."""
        if not self.is_lost:
            self.quic.send_ping(0)
            self.awaken()

    def forget_session(self, session_id: int) -> None:
        """Drops a session; see SessionCarrier."""
        if self._sessions.pop(session_id, None) is not None:
            self._finish_request(session_id)

    # Below both

    def _pump(self, exchange: Exchange) -> None:
        """Hands to QUIC what an exchange has, up to SEND_BYTES on the way; a lost stream's rest goes nowhere."""
        http, stream_id = self._http, exchange.stream_id
        try:
            while http is not None and exchange.get_write_buffer_size():
                room = SEND_BYTES - self.quic.unacknowledged_bytes(stream_id)
                if room <= 0:
                    return  # acknowledgements go on with it
                http.send_data(stream_id, bytes(exchange.take(room)), end_stream=False)
            self._woken.pop(stream_id, None)
            if http is not None and exchange.is_closing():
                http.send_data(stream_id, b"", end_stream=True)
                exchange.sent_end()
        except (RuntimeError, ValueError, ProtocolError):  # as in send()
            self._woken.pop(stream_id, None)
            exchange.lose()

    def _send_fields(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        if self._http is not None:
            with contextlib.suppress(RuntimeError, ValueError, ProtocolError):  # as in send()
                self._http.send_headers(stream_id, fields)
            self.awaken()

    def _break(self, stream_id: int, code: int) -> None:
        """Ends both directions of a stream at once."""
        if self.is_lost:
            return
        if not stream_id & 2:
            self.quic.reset_stream(stream_id, code)
            if self._http is not None:
                self._http.finish_sending(stream_id)
        self.quic.stop_receiving(stream_id, code)
        self.quic.consume_rest(stream_id)
        self.awaken()

    def _finish_request(self, stream_id: int) -> None:
        if not self.is_lost:
            self.quic.consume_rest(stream_id)
            self.request_ended()
