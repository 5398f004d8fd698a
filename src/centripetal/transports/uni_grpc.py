"""The unidirectional gRPC stream: `centrifugal.centrifugo.unistream.CentrifugoUniStream/Consume`.

The request is the client protocol's ConnectRequest, the answers are its Push messages, so the client protocol's own
Protobuf codec reads and writes them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from ..interfaces.request import HttpRequest
from ..interfaces.transport import Encoding
from ..model import Disconnect
from ..protocol.commands import ConnectRequest
from ..protocol.errors import ProtocolError
from ..protocol.framing import read_varint
from ..protocol.protobuf_codec import PROTOBUF
from .clients import UnidirectionalClient
from .encodings import FramedEncoding, disconnect_push, length_prefixed
from .reception import Reception

METHOD = "/centrifugal.centrifugo.unistream.CentrifugoUniStream/Consume"
"""Path on the wire."""

UNI_GRPC = FramedEncoding("uni_grpc-protobuf", PROTOBUF, length_prefixed, unidirectional=True)
"""Messages with their length, since several of them are written at once."""

HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
"""Between these the client is told that its peer does not keep up, and that it does again."""

WRITE_SECONDS = 1.0

CLOSE_SECONDS = 5.0
"""How long the peer may take to read the rest of a stream that has ended; gRPC itself waits for as long as it lives."""

NewClient = Callable[["UniGrpcStream", HttpRequest], UnidirectionalClient]
_Context = grpc.aio.ServicerContext[bytes, bytes]


class UniGrpcStream:
    """One call of Consume; the Transport of its client. Messages wait here until gRPC takes them.

    Args:
        reception: for the ping interval.

    Attributes:
        client: what it carries.
    """

    name = "uni_grpc"
    emulated = False
    frame_ping_pong = False
    pong_timeout_seconds = 0.0
    write_timeout_seconds = WRITE_SECONDS

    def __init__(self, reception: Reception) -> None:
        self.encoding: Encoding = UNI_GRPC
        self.ping_interval_seconds = reception.ping_interval_seconds
        self.client: UnidirectionalClient | None = None
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._paused = False
        self._ended = False
        self._arrived = asyncio.Event()
        self._sender: asyncio.Task[Any] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # What the client asks for

    def write(self, data: bytes) -> None:
        """Takes messages with their lengths."""
        position = 0
        while position < len(data):
            size, position = read_varint(data, position)
            self._messages.append(data[position : position + size])
            self._bytes += size
            position += size
        self._arrived.set()
        if self._bytes > HIGH_WATER_BYTES and not self._paused and self.client is not None:
            self._paused = True
            self.client.writing_paused()

    def buffered_bytes(self) -> int:
        """Bytes that gRPC has not taken yet."""
        return self._bytes

    def send_native_ping(self) -> None:
        """Pings of HTTP/2 are the listener's."""

    def pause_reading(self) -> None:
        """Nothing is read after the request."""

    def resume_reading(self) -> None:
        """The same."""

    def close(self, disconnect: Disconnect | None) -> None:
        """Ends the stream after what waits and, with a disconnect, the push that tells of it."""
        if self._ended:
            return
        push = disconnect_push(self.encoding, disconnect) if disconnect is not None else None
        if push is not None:
            self._messages.append(push)
        self._end()

    def abort(self) -> None:
        """Ends the stream and drops what waits."""
        self._messages.clear()
        self._end()
        if self._sender is not None:
            self._sender.cancel()

    # What the call does

    async def send_all(self, send: Callable[[bytes], Any]) -> None:
        """Sends messages as they come, until the stream has ended; cancelled if the peer does not read the rest."""
        self._sender = asyncio.current_task()
        while True:
            while self._messages:
                message = self._messages.popleft()
                await send(message)
                self._taken(message)
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def leave(self) -> None:
        """The peer is gone."""
        self._sender = None
        self._messages.clear()
        self._end()
        if self._deadline is not None:
            self._deadline.cancel()

    def _taken(self, message: bytes) -> None:
        self._bytes = max(0, self._bytes - len(message)) if self._messages else 0
        if self._paused and self._bytes < LOW_WATER_BYTES and self.client is not None:
            self._paused = False
            self.client.writing_resumed()

    def _end(self) -> None:
        client, self.client = self.client, None
        self._ended = True
        self._arrived.set()
        if self._sender is not None and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._sender.cancel)
        if client is not None:
            client.transport_closed()


class UniGrpcService(grpc.GenericRpcHandler):
    """Handles the calls of Consume."""

    def __init__(self, reception: Reception, new_client: NewClient) -> None:
        """Makes the service.

        Args:
            reception: who may come in, and the ping interval.
            new_client: makes the client of a stream.
        """
        self.reception = reception
        self._new_client = new_client

    def service(self, handler_call_details: Any) -> Any:
        """Returns the handler of a method, None for methods that do not exist (UNIMPLEMENTED)."""
        if handler_call_details.method != METHOD:
            return None
        return grpc.unary_stream_rpc_method_handler(self._consume)

    async def _consume(self, message: bytes, context: _Context) -> None:
        if not self.reception.admission.admit():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many connections")
        request = _decode(message)
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "malformed connect request")
        stream = UniGrpcStream(self.reception)
        client = stream.client = self._new_client(stream, _request_of(context))
        try:
            client.connect(request)
            await stream.send_all(context.write)
        finally:
            stream.leave()


def _decode(message: bytes) -> ConnectRequest | None:
    """Returns the connect request, None for a malformed one: gRPC keeps what is raised, and what it was raised from."""
    try:
        return PROTOBUF.decode_connect(message)
    except ProtocolError:
        return None


def _request_of(context: _Context) -> HttpRequest:
    """Returns the call as a request, with the first value of each metadata key as a header."""
    headers: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            headers.setdefault(key.lower(), value)
    return HttpRequest("POST", METHOD, headers=headers, remote_address=context.peer(), http_version="2")
