"""Whole connections of HTTP/2 that are fed with hostile input."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection

from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.transports.deadlines import Deadlines
from centripetal.transports.endpoints import AnswerWriter, Routes
from centripetal.transports.gate import Gate
from centripetal.transports.http2 import Http2Connection
from centripetal.transports.listener import Listener

from .mutation import split


class HandLoop:
    """An event loop whose turns are taken by hand."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def time(self) -> float:
        return 0.0

    def call_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        self.ready.append((function, arguments))

    def call_later(self, seconds: float, function: Callable[..., object], *arguments: Any) -> None:
        """Nothing comes due while an input is fed."""

    def run(self) -> None:
        while self.ready:
            function, arguments = self.ready.popleft()
            function(*arguments)


class Wire(asyncio.Transport):
    """A transport that forgets what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol: Any = None
        self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        assert not self.aborted

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Echo:
    max_body_bytes = 1000

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        return None

    def respond(self, request: HttpRequest, body: bytes) -> HttpResponse:
        return HttpResponse(200, [], body)


class Tunnel(asyncio.Protocol):
    """Sends back what comes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Tunnels:
    def upgrade(
        self, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter
    ) -> asyncio.Protocol | HttpResponse:
        if not request.protocol:
            return HttpResponse(400)
        writer.accept(transport, request, "", "")
        return Tunnel(transport)


class Http2Connections:
    """Connections of a listener, each fed with one input."""

    def __init__(self) -> None:
        self.loop: Any = HandLoop()
        self.listener = Listener(Routes({"/echo": Echo(), "/ws": Tunnels()}))
        self.listener.loop = self.loop
        self.listener.deadlines = Deadlines(self.loop)
        self.listener.gate = Gate(self.loop)

    def feed(self, data: bytes, chance: random.Random) -> None:
        """One connection's life."""
        wire = Wire()
        wire.protocol = Http2Connection(self.listener)
        wire.protocol.connection_made(wire)
        for piece in split(data, chance):
            if not wire.closed:
                wire.protocol.data_received(piece)
                self.loop.run()
        assert not wire.aborted, "the connection ended by a mistake of ours"
        wire.protocol.connection_lost(None)
        self.loop.run()
        assert not self.listener.connections, "a connection that has ended is still known"


def seeds() -> list[bytes]:
    """Returns what clients send."""
    peer = H2Connection(H2Configuration(client_side=True))
    peer.initiate_connection()
    hello = peer.data_to_send()
    fields = [(":scheme", "http"), (":authority", "a"), ("cookie", "a=b"), ("x-long", "y" * 200)]
    peer.send_headers(1, [(":method", "GET"), (":path", "/echo?a=b"), *fields], end_stream=True)
    get = peer.data_to_send()
    peer.send_headers(3, [(":method", "POST"), (":path", "/echo"), *fields])
    peer.send_data(3, b"body", pad_length=5)
    peer.send_data(3, b"more", end_stream=True)
    post = peer.data_to_send()
    tunnel = [(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/ws"), *fields]
    peer.send_headers(5, tunnel, priority_weight=7)
    peer.send_data(5, b"\x81\x85maskabcde")
    connect = peer.data_to_send()
    peer.ping(b"12345678")
    peer.increment_flow_control_window(1000)
    peer.increment_flow_control_window(1000, 5)
    peer.update_settings({4: 100, 1: 0})
    peer.prioritize(5, 3, 1)
    control = peer.data_to_send()
    peer.reset_stream(5, 8)
    peer.close_connection()
    end = peer.data_to_send()
    return [hello + get, hello + get + post, hello + get + post + connect + control + end, hello + connect, hello + control]
