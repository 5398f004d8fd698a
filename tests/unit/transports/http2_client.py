"""A client that speaks HTTP/2 over a raw socket, frame by frame if it must."""

from __future__ import annotations

import asyncio
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from hyperframe.frame import Frame
from sockets import House


class Http2Client:
    """One connection; keeps what came of each stream.

    Attributes:
        protocol: for whatever a test wants to send.
        heads: by stream, the fields of the answer.
        bodies: by stream.
        ended: streams whose answer is complete.
        resets: by stream, the code.
        goodbye: the code of GOAWAY.
        closed: the server has closed.
        reading: answers are acknowledged to flow control.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.events: list[Event] = []
        self.goodbye: int | None = None
        self.closed = False
        self.reading = True

    @staticmethod
    async def connect(house: House, *, window: int = 65535) -> Http2Client:
        """Opens a connection and says hello."""
        client = await house.connect()
        made = Http2Client(client.reader, client.writer)
        if window != 65535:
            made.protocol.local_settings.initial_window_size = window
            made.protocol.local_settings.acknowledge()
        made.protocol.initiate_connection()
        made.flush()
        return made

    def flush(self) -> None:
        self.writer.write(self.protocol.data_to_send())

    def send_frame(self, frame: Frame) -> None:
        """Sends a frame behind the library's back."""
        self.flush()
        self.writer.write(frame.serialize())

    def request(self, method: str, path: str, *headers: tuple[str, str], body: bytes | None = None) -> int:
        """Sends a request and returns its stream."""
        stream_id: int = self.protocol.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        self.protocol.send_headers(stream_id, [*pseudo, *headers], end_stream=body is None)
        if body is not None:
            self.protocol.send_data(stream_id, body, end_stream=True)
        self.flush()
        return stream_id

    def tunnel(self, path: str, *headers: tuple[str, str]) -> int:
        """Opens a WebSocket and returns its stream."""
        stream_id: int = self.protocol.get_next_available_stream_id()
        pseudo = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "localhost"),
            (":path", path), ("sec-websocket-version", "13"),
        ]  # fmt: skip
        self.protocol.send_headers(stream_id, [*pseudo, *headers])
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        self.protocol.send_data(stream_id, data, end_stream=end)
        self.flush()

    async def until(self, *met: Any) -> None:
        """Reads until all conditions, functions without arguments, hold."""
        async with asyncio.timeout(20):
            while not all(condition() for condition in met):
                await self.read()

    async def answer(self, stream_id: int) -> tuple[str, bytes]:
        """Reads until an answer is complete; returns its status and body."""
        await self.until(lambda: stream_id in self.ended or stream_id in self.resets)
        return self.heads[stream_id][":status"], bytes(self.bodies.get(stream_id, b""))

    async def end(self) -> None:
        """Reads until the server closes."""
        await self.until(lambda: self.closed)

    async def read(self) -> None:
        """Takes one piece."""
        data = await self.reader.read(65536)
        if not data:
            if self.closed:
                raise AssertionError("the server has closed")
            self.closed = True
            return
        for event in self.protocol.receive_data(data):
            self._take(event)
        self.flush()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, DataReceived):
            self.bodies.setdefault(event.stream_id, bytearray()).extend(event.data)
            if self.reading:
                self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = int(event.error_code)
        elif isinstance(event, ConnectionTerminated):
            self.goodbye = int(event.error_code or 0)

    def window_updates(self, stream_id: int) -> int:
        """Returns how many bytes more the server allowed on a stream."""
        return sum(event.delta for event in self.events if isinstance(event, WindowUpdated) and event.stream_id == stream_id)
