"""Streamed HTTP responses: messages in one response that stays open, as events, lines or length-prefixed Protobuf.

What differs between these transports is in StreamKind. An idle stream owns no task, timer or buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..interfaces.request import HttpRequest
from ..interfaces.transport import Encoding
from ..model import ClientError, Disconnect
from ..protocol.commands import ConnectRequest
from .clients import TransportClient, UnidirectionalClient
from .deadlines import Deadlines, Expiring
from .encodings import (
    HTTP_STREAM_JSON,
    HTTP_STREAM_PROTOBUF,
    LAST_CHUNK,
    SSE_JSON,
    UNI_HTTP_STREAM_JSON,
    UNI_SSE_JSON,
    StreamEncodings,
    chunk,
    disconnect_push,
)
from .endpoints import AnswerWriter, OpenResponse
from .failures import ConnectFailures

CLOSE_SECONDS = 5.0
"""How long the peer may take to read the rest of a stream that has ended."""

WRITE_SECONDS = 1.0
"""A peer that takes nothing for so long is gone; these transports have no option for it."""

_MAX_IGNORED_BYTES = 65536

STREAM_HEADERS = [
    ("X-Accel-Buffering", "no"),
    ("Cache-Control", "private, no-cache, no-store, must-revalidate, max-age=0"),
    ("Pragma", "no-cache"),
    ("Expire", "0"),
]
"""They keep proxies from buffering a stream, and everybody from storing it."""


@dataclass(frozen=True, slots=True)
class StreamForm:
    """How a stream looks.

    Attributes:
        encodings: of its messages.
        content_type: of the response.
        preamble: bytes before the first message.
    """

    encodings: StreamEncodings
    content_type: str
    preamble: bytes = b""


@dataclass(frozen=True, slots=True)
class StreamKind:
    """One streaming transport.

    Attributes:
        name: label of metrics.
        form: of its streams.
        protobuf_form: for requests with `Content-Type: application/octet-stream`; None where there is no Protobuf.
        unidirectional: the request is a bare connect request, and clients only listen.
        by_query: what a client has to say may come in the query of a GET, as browsers' EventSource wants it.
    """

    name: str
    form: StreamForm
    protobuf_form: StreamForm | None = None
    unidirectional: bool = False
    by_query: bool = False


_EVENTS = "text/event-stream; charset=utf-8"
_LINES = "text/plain; charset=utf-8"

SSE = StreamKind("sse", StreamForm(SSE_JSON, _EVENTS, b"\r\n"), by_query=True)
HTTP_STREAM = StreamKind(
    "http_stream",
    StreamForm(HTTP_STREAM_JSON, _LINES),
    StreamForm(HTTP_STREAM_PROTOBUF, "application/octet-stream"),
)
UNI_SSE = StreamKind("uni_sse", StreamForm(UNI_SSE_JSON, _EVENTS, b"\r\n"), unidirectional=True, by_query=True)
UNI_HTTP_STREAM = StreamKind("uni_http_stream", StreamForm(UNI_HTTP_STREAM_JSON, _LINES), unidirectional=True)

NewClient = Callable[["StreamConnection", HttpRequest], UnidirectionalClient]


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What the streams of one endpoint have in common.

    Attributes:
        kind: see StreamKind.
        new_client: makes the client of a stream.
        ping_interval_seconds: `client.ping_interval`, 0 for no pings.
        pong_timeout_seconds: `client.pong_timeout`, 0 for no check.
        failures: how a failed connect is answered in place of a stream; None to tell it in the stream.
        deadlines: watches streams that have ended.
    """

    kind: StreamKind
    new_client: NewClient
    ping_interval_seconds: float
    pong_timeout_seconds: float
    failures: ConnectFailures | None
    deadlines: Deadlines


class StreamConnection(OpenResponse):
    """One streamed response; the Transport of its client.

    Args:
        rules: of the endpoint.
        form: how this stream looks.
        request: that is answered.
        first: what came with it, commands or the connect request of a unidirectional client.
        cors: headers for pages of other origins.

    Attributes:
        client: what it carries.
        encoding: of what is written.
        write: writes to the connection.
    """

    __slots__ = (
        "_cors", "_first", "_form", "_ignored", "_request", "_rules", "_transport", "_unopened", "bucket", "client",
        "deadline", "encoding", "write",
    )  # fmt: skip

    frame_ping_pong = False

    def __init__(
        self,
        rules: StreamRules,
        form: StreamForm,
        request: HttpRequest,
        first: bytes | ConnectRequest,
        cors: list[tuple[str, str]],
    ) -> None:
        encodings = form.encodings
        self.client: TransportClient | None = None
        self.encoding: Encoding = encodings.chunked if request.http_version == "1.1" else encodings.plain
        self.write: Callable[[bytes], None] = _discard
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self._rules = rules
        self._form: StreamForm | None = form
        self._request: HttpRequest | None = request
        self._first: bytes | ConnectRequest | None = first
        self._cors: list[tuple[str, str]] | None = cors
        self._transport: asyncio.Transport | None = None
        # The headers, the preamble and their writer, while the outcome of connect decides.
        self._unopened: tuple[list[tuple[str, str]], bytes, AnswerWriter] | None = None
        self._ignored = 0

    def begin(self, transport: asyncio.Transport, writer: AnswerWriter) -> None:
        """Sends the head, unless connect decides on it, and lets the client begin; see OpenResponse."""
        form, request, first, cors = self._form, self._request, self._first, self._cors
        assert form is not None and request is not None and cors is not None
        self._form = self._request = self._first = None
        chunked = self._is_chunked
        headers = [("Content-Type", form.content_type), *STREAM_HEADERS, *cors]
        preamble = chunk(form.preamble) if chunked and form.preamble else form.preamble
        self._transport = transport
        self.write = transport.write if self._rules.failures is None else self._open
        client = self.client = self._rules.new_client(self, request)
        if self._rules.failures is None:
            self._cors = None
            writer.open(transport, headers, preamble, chunked=chunked)
        else:
            self._unopened = (headers, preamble, writer)
        if isinstance(first, ConnectRequest):
            client.connect(first)
        elif first is not None:
            client.receive(first)

    # What the client asks for

    @property
    def name(self) -> str:
        """Name of the transport."""
        return self._rules.kind.name

    @property
    def emulated(self) -> bool:
        """Whether commands come through the emulation endpoint."""
        return not self._rules.kind.unidirectional

    @property
    def ping_interval_seconds(self) -> float:
        """Seconds between pings, 0 for none."""
        return self._rules.ping_interval_seconds

    @property
    def pong_timeout_seconds(self) -> float:
        """Seconds to wait for a pong, 0 for no check."""
        return self._rules.pong_timeout_seconds

    @property
    def write_timeout_seconds(self) -> float:
        """How long a peer may take nothing of what is written."""
        return WRITE_SECONDS

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send_native_ping(self) -> None:
        """Streams have no pings of their own."""

    def pause_reading(self) -> None:
        """Commands come through the emulation endpoint, which asks the client itself."""

    def resume_reading(self) -> None:
        """The same."""

    def close(self, disconnect: Disconnect | None) -> None:
        """Ends the stream.

        Args:
            disconnect: code and reason of the disconnect push, or of the response if the stream is not open yet.
        """
        if self.client is None:
            return
        if self._unopened is not None:
            self._refuse(disconnect)
        else:
            self.write(self._farewell(disconnect))
        self._finish()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells

    def data_received(self, data: bytes) -> None:
        self._ignored += len(data)
        if self._ignored > _MAX_IGNORED_BYTES:
            self.abort()

    def eof_received(self) -> bool:
        """Takes a client that closes its side for gone."""
        self._finish()
        return False

    def pause_writing(self) -> None:
        if self.client is not None:
            self.client.writing_paused()

    def resume_writing(self) -> None:
        if self.client is not None:
            self.client.writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._rules.deadlines.forget(self)
        self._leave_client()

    def expire(self) -> None:
        """The peer did not read the rest in time."""
        self.abort()

    # The beginning and the end

    def _open(self, data: bytes) -> None:
        """Writes the head before the first message: connect has succeeded."""
        unopened, transport, client = self._unopened, self._transport, self.client
        if unopened is None or transport is None or client is None:
            return
        self._unopened = self._cors = None
        self.write = transport.write
        headers, preamble, writer = unopened
        writer.open(transport, headers, preamble + data, chunked=self._is_chunked)
        # So that the client takes `write` anew.
        client.writing_resumed()

    @property
    def _is_chunked(self) -> bool:
        return not self.encoding.name.endswith("-plain")

    def _refuse(self, disconnect: Disconnect | None) -> None:
        """Answers a failed connect without a stream."""
        assert self._unopened is not None and self._rules.failures is not None and self._transport is not None
        writer = self._unopened[2]
        self._unopened = None
        failure = disconnect.__cause__ if disconnect is not None else None
        response = self._rules.failures.response(failure if isinstance(failure, ClientError) else disconnect)
        response.headers = [*response.headers, *(self._cors or ())]
        writer.respond(self._transport, response)

    def _farewell(self, disconnect: Disconnect | None) -> bytes:
        """Returns the disconnect push and the end of the body."""
        last = LAST_CHUNK if self._is_chunked else b""
        push = disconnect_push(self.encoding, disconnect) if disconnect is not None else None
        return last if push is None else self.encoding.frame(push) + last

    def _finish(self) -> None:
        """Closes TCP after what is written; nothing can be sent any more."""
        transport = self._transport
        self._leave_client()
        if transport is not None:
            self._rules.deadlines.watch(self, CLOSE_SECONDS)
            transport.close()

    def _leave_client(self) -> None:
        """Tells the client, once, that the connection is gone, and undoes the reference cycle."""
        client, self.client = self.client, None
        self.write = _discard
        self._unopened = self._cors = None
        if client is not None:
            client.transport_closed()


def _discard(data: bytes) -> None:
    """Takes what is written to a connection that is gone."""
