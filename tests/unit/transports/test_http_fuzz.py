"""Whatever comes in at the front door: no exception leaves it, and what it holds stays bounded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from gates import gate_with
from hypothesis import given, settings
from hypothesis import strategies as st
from sockets import Echo, frame, get, post, upgrade

from centripetal.interfaces.clock import SystemClock
from centripetal.transports.admission import Admission
from centripetal.transports.deadlines import Deadlines
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import HttpLimits, Listener
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.websocket import WebSocketEndpoint


class FakeTransport(asyncio.Transport):
    """Remembers what was written and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0


class Nobody:
    """A client that does nothing."""

    def __init__(self, connection: Any, request: Any) -> None:
        pass

    def receive(self, message: bytes) -> None:
        pass

    native_pong = writing_paused = writing_resumed = transport_closed = lambda self: None


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    loop = asyncio.new_event_loop()
    endpoint = WebSocketEndpoint(
        WebSocketSettings(message_size_limit=300), Origins([]), Admission(SystemClock(), lambda: 0), Nobody
    )
    endpoint._deadlines = Deadlines(loop)
    listener = Listener(Routes({"/ws": endpoint, "/echo": Echo(500)}), limits=HttpLimits(head_bytes=300, headers=8))
    listener.loop = loop
    listener.gate = gate_with(sys.maxsize)
    listener.deadlines = Deadlines(loop)
    yield listener
    loop.close()


pieces = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            get("/echo"),
            get("/ws"),
            upgrade(),
            post("/echo", b"body"),
            get("/echo", "Transfer-Encoding: chunked", method="PUT"),
            b"4\r\nbody\r\n",
            b"0\r\n\r\n",
            b"\r\n",
            frame(1, b"text"),
            frame(2, b"part", 0),
            frame(9),
            frame(8, b"\x03\xe8"),
        ]
    ),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(pieces, st.integers(0, 200)), max_size=12))
def test_anything_at_the_front_door(listener: Listener, parts: list[tuple[bytes, int]]) -> None:
    transport = FakeTransport()
    connection = listener.protocol()
    transport.protocol = connection
    connection.connection_made(transport)
    for data, cut in parts:
        for piece in (data[:cut], data[cut:]):
            if piece and not transport.closed:
                transport.protocol.data_received(piece)
                assert len(connection._unread) <= 300 + 260
    transport.protocol.connection_lost(None)
    assert not listener.connections
    assert not any(listener.deadlines._buckets.values())
    assert transport.written == b"" or transport.written.startswith(b"HTTP/1.1 ")
