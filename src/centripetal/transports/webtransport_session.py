"""One WebTransport session: its stream, which carries the client protocol, and its end.

Sessions and streams are named by their numbers in the QUIC connection. An idle session owns no task, timer or buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ..interfaces.request import HttpRequest
from ..interfaces.transport import Encoding
from ..model import Disconnect
from ..model.errors import DISCONNECT_BAD_REQUEST, DISCONNECT_SHUTDOWN, DISCONNECT_STALE
from ..protocol.capsules import CapsuleReader, close_session
from ..protocol.errors import ProtocolError
from ..protocol.framing import NewlineSplitter, VarintSplitter, delimit_json, delimit_protobuf
from ..protocol.json_codec import JSON
from ..protocol.protobuf_codec import PROTOBUF
from .clients import TransportClient
from .deadlines import Expiring
from .encodings import FramedEncoding, disconnect_push
from .reception import Reception
from .session_carrier import SessionCarrier

WEBTRANSPORT_JSON = FramedEncoding("webtransport-json", JSON, delimit_json)
WEBTRANSPORT_PROTOBUF = FramedEncoding("webtransport-protobuf", PROTOBUF, delimit_protobuf)

FAREWELL_SECONDS = 1.0
"""Between the disconnect push and the end of the session: browsers drop what was not read when a session ends."""

CLOSE_SECONDS = 5.0
"""How long the peer may take to end its side of a session that has ended."""

WRITE_SECONDS = 1.0
"""A peer that takes nothing for so long is gone; this transport has no option for it."""

KEEP_ALIVE_SECONDS = 20.0
"""Where `client.ping_interval` turns pings off, QUIC's own keep a session's connection from its idle timeout."""

HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
"""Between these the client is told that its peer does not keep up, and that it does again."""

_PONG = b"{}"
_PONG_LINE = b"{}\n"

_WAITING, _OPEN, _LEAVING, _ENDED = range(4)

_log = structlog.get_logger("centripetal.transports")

NewClient = Callable[["WebTransportSession", HttpRequest], TransportClient]


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What the sessions of an endpoint have in common.

    Attributes:
        reception: who may come in, and the pings.
        new_client: makes the client of a session when its stream opens.
        max_message_bytes: of one message (`webtransport.message_size_limit`).
        stream_seconds: how long a session may be without its stream.
    """

    reception: Reception
    new_client: NewClient
    max_message_bytes: int
    stream_seconds: float


class WebTransportSession:
    """One session; the Transport of its client once its stream is open.

    Args:
        rules: of the endpoint.
        carrier: its connection.
        session_id: number of the request's stream.
        request: that opened it.
        protobuf: `cf_protocol=protobuf`.

    Attributes:
        client: what it carries; None before the stream opens and after the end.
        encoding: of what is written.
    """

    __slots__ = (
        "_backlog", "_capsules", "_carrier", "_deadlines", "_disconnect", "_held", "_peer_ended", "_reading_paused",
        "_request", "_rules", "_session_id", "_splitter", "_state", "_stream_id", "_writing_paused", "bucket", "client", "deadline",
        "encoding",
    )  # fmt: skip

    name = "webtransport"
    emulated = False
    frame_ping_pong = False
    write_timeout_seconds = WRITE_SECONDS

    def __init__(
        self,
        rules: SessionRules,
        carrier: SessionCarrier,
        session_id: int,
        request: HttpRequest,
        protobuf: bool,
    ) -> None:
        self.client: TransportClient | None = None
        self.encoding: Encoding = WEBTRANSPORT_PROTOBUF if protobuf else WEBTRANSPORT_JSON
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._rules = rules
        self._carrier: SessionCarrier | None = carrier
        self._session_id = session_id
        self._stream_id = -1
        self._request: HttpRequest | None = request
        self._state = _WAITING
        self._disconnect: Disconnect | None = None
        self._capsules: CapsuleReader | None = None  # only while one is unfinished
        self._splitter: NewlineSplitter | VarintSplitter | None = None  # only while a message is unfinished
        self._backlog = b""  # received and not looked at, while held
        self._held = False  # from the pause of reading until what came meanwhile is delivered
        self._reading_paused = False
        self._writing_paused = False
        self._peer_ended = False  # the peer has ended its side of the stream
        self._deadlines = carrier.deadlines
        self._deadlines.watch(self, rules.stream_seconds)

    # What the client asks for

    @property
    def ping_interval_seconds(self) -> float:
        """Seconds between pings, 0 for none."""
        return self._rules.reception.ping_interval_seconds

    @property
    def pong_timeout_seconds(self) -> float:
        """Seconds to wait for a pong, 0 for no check."""
        return self._rules.reception.pong_timeout_seconds

    def write(self, data: bytes) -> None:
        """Writes framed messages to the stream."""
        carrier = self._carrier
        if carrier is None or self._state != _OPEN:
            return
        if carrier.send(self._stream_id, data) > HIGH_WATER_BYTES and not self._writing_paused:
            self._writing_paused = True
            carrier.watch_writing(self)
            if self.client is not None:
                self.client.writing_paused()

    def buffered_bytes(self) -> int:
        """Bytes written and not yet acknowledged by the peer."""
        return self._carrier.buffered_bytes(self._stream_id) if self._carrier is not None else 0

    def send_native_ping(self) -> None:
        """Pings are the protocol's."""

    def pause_reading(self) -> None:
        """Stops delivery; QUIC's flow control stops the peer."""
        if self._carrier is not None and self._state == _OPEN:
            self._reading_paused = True
            if not self._held:
                self._held = True
                self._carrier.hold(self._stream_id)

    def resume_reading(self) -> None:
        """Delivers again, beginning in the next turn of the loop."""
        if self._reading_paused:
            self._reading_paused = False
            asyncio.get_running_loop().call_soon(self._read_backlog)

    def close(self, disconnect: Disconnect | None) -> None:
        """Sends a disconnect push, then ends the stream and, when that could be read, the session.

        Args:
            disconnect: code and reason of the push and of the session; None ends it without.
        """
        carrier = self._carrier
        if carrier is None or self._state != _OPEN:
            return
        push = disconnect_push(self.encoding, disconnect) if disconnect is not None else None
        carrier.send(self._stream_id, b"" if push is None else self.encoding.frame(push), end=True)
        self._disconnect = disconnect
        self._state = _LEAVING
        self._drop_input()
        self._leave_client()
        if disconnect is None or self._peer_ended:
            self._end_session()
        else:
            self._deadlines.watch(self, FAREWELL_SECONDS)

    def abort(self) -> None:
        """Ends the session at once."""
        carrier = self._carrier
        if carrier is not None:
            if self._stream_id >= 0:
                carrier.refuse(self._stream_id)
            carrier.refuse(self._session_id)
            self.lose()

    # What the connection tells

    def take_stream(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Something came on a bidirectional stream of the session; the first one is the session's for good."""
        carrier = self._carrier
        if carrier is None:
            return
        if self._state == _WAITING:
            self._open(stream_id)
        elif stream_id != self._stream_id:
            carrier.refuse(stream_id)
            return
        if ended:
            self._peer_ended = True
        if data and self._state == _OPEN:
            if self._held:
                self._backlog += data
            else:
                self._read(data)
        if ended and not self._held:
            self._peer_left()

    def take_capsules(self, data: bytes, ended: bool) -> None:
        """Something came on the stream of the request; the session's end is all that matters of it."""
        if self._carrier is None:
            return
        if data:
            capsules = self._capsules or CapsuleReader()
            try:
                capsules.feed(data)
            except ProtocolError:
                self.abort()
                return
            self._capsules = None if capsules.is_between_capsules else capsules
            ended = ended or capsules.closed
        if ended:
            self._peer_closed()

    def stream_stopped(self, stream_id: int) -> None:
        """The peer has broken a stream off in one direction; with half of its stream the session is of no use."""
        if stream_id == self._stream_id:
            self._peer_left()

    def writing_progressed(self) -> bool:
        """Something was acknowledged; returns whether the session is still interested."""
        if not self._writing_paused or self._carrier is None or self._state != _OPEN:
            return False
        if self._carrier.buffered_bytes(self._stream_id) > LOW_WATER_BYTES:
            return True
        self._writing_paused = False
        if self.client is not None:
            self.client.writing_resumed()
        return False

    def lose(self) -> None:
        """The connection, or the request's stream, is gone."""
        self._drop_input()
        carrier, self._carrier = self._carrier, None
        self._state = _ENDED
        self._deadlines.forget(self)
        self._capsules = self._request = None
        if carrier is not None:
            carrier.forget_session(self._session_id)
        self._leave_client()

    def finish(self) -> None:
        """The server stops: a session that says goodbye gets no more time for it."""
        if self._state != _ENDED:
            self._disconnect = self._disconnect or DISCONNECT_SHUTDOWN
            self._leave_client()
            self._end_session()

    def expire(self) -> None:
        """A deadline has passed: of the stream to open, of the farewell, of the peer's end; or a ping is due."""
        carrier = self._carrier
        if carrier is None:
            return
        if self._state == _WAITING:
            self._disconnect = DISCONNECT_STALE
            self._end_session()
        elif self._state == _OPEN:
            carrier.send_ping()
            self._deadlines.watch(self, KEEP_ALIVE_SECONDS)
        elif self._state == _LEAVING:
            self._end_session()
        else:
            self.abort()

    # The beginning, the stream and the end

    def _open(self, stream_id: int) -> None:
        request, self._request = self._request, None
        assert request is not None
        self._stream_id = stream_id
        self._state = _OPEN
        self._deadlines.forget(self)
        if self.ping_interval_seconds <= 0:
            self._deadlines.watch(self, KEEP_ALIVE_SECONDS)
        self.client = self._rules.new_client(self, request)

    def _read(self, data: bytes) -> None:
        """Delivers the whole messages in what came."""
        splitter = self._splitter
        if splitter is None:
            limit = self._rules.max_message_bytes
            splitter = NewlineSplitter(limit) if self.encoding is WEBTRANSPORT_JSON else VarintSplitter(limit)
        try:
            messages = splitter.feed(data)
        except ProtocolError:
            # Malformed or too large: nothing behind it can be read.
            self.close(DISCONNECT_BAD_REQUEST)
            return
        self._splitter = splitter if splitter.pending_bytes else None
        if messages and self.client is not None:
            # A client whose command waits knows pongs by their bytes.
            self.client.receive(_PONG if messages == _PONG_LINE else messages)

    def _read_backlog(self) -> None:
        """Goes on with delivery."""
        carrier = self._carrier
        if self._reading_paused or not self._held or carrier is None:
            return
        data, self._backlog, self._held = self._backlog, b"", False
        carrier.release(self._stream_id)
        if data and self._state == _OPEN:
            self._read(data)
        if self._peer_ended and not self._held:
            self._peer_left()

    def _peer_left(self) -> None:
        """The peer does not use the stream any more, which is how clients leave."""
        if self._state == _OPEN:
            self.close(None)
        elif self._state == _LEAVING:
            self._end_session()

    def _peer_closed(self) -> None:
        """The peer has ended the session."""
        carrier = self._carrier
        if carrier is None:
            return
        if self._state in (_WAITING, _OPEN, _LEAVING):
            self._state = _ENDED
            carrier.send_capsule(self._session_id, b"")
            self._end_stream(carrier)
        self.lose()

    def _end_session(self) -> None:
        """Tells the peer code and reason, and waits for it to end its side."""
        carrier = self._carrier
        if carrier is None:
            return
        code, reason = 0, ""
        if self._disconnect is not None:
            code, reason = self._disconnect.code, self._disconnect.reason
        self._state = _ENDED
        self._drop_input()
        self._end_stream(carrier)
        carrier.send_capsule(self._session_id, close_session(code, reason))
        self._deadlines.watch(self, CLOSE_SECONDS)

    def _end_stream(self, carrier: SessionCarrier) -> None:
        """Ends our side of the stream, unless the farewell has, and has the peer end its side."""
        if self._stream_id >= 0:
            carrier.send(self._stream_id, b"", end=True)
            if not self._peer_ended:
                carrier.stop(self._stream_id)

    def _drop_input(self) -> None:
        if self._carrier is not None and self._held:
            self._carrier.release(self._stream_id)
        self._held = self._reading_paused = False
        self._backlog = b""
        self._splitter = None

    def _leave_client(self) -> None:
        """Tells the client, once, that the session is gone, and undoes the reference cycle."""
        client, self.client = self.client, None
        if client is not None:
            client.transport_closed()
