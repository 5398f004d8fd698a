"""An echo server on the real front door and WebSocket transport, for the WebSocket test suite."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from centripetal.interfaces.clock import SystemClock
from centripetal.interfaces.request import HttpRequest
from centripetal.protocol.websocket import (
    BINARY,
    TEXT,
    Deflater,
    MessageLimits,
    binary_frame,
    compressed_frame,
    text_frame,
)
from centripetal.transports.admission import Admission
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import Listener
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.websocket import WebSocketConnection, WebSocketEndpoint

MESSAGE_BYTES = 32 * 1024 * 1024


class Echo:
    """Sends back every message in its kind of frame, compressed where that was agreed on."""

    def __init__(self, connection: WebSocketConnection, request: HttpRequest) -> None:
        self.connection = connection
        compressed = connection.encoding.name.endswith("-deflate")
        self.deflate = Deflater(1, 9).deflate if compressed else None
        self.paused = False

    def receive(self, message: bytes) -> None:
        connection = self.connection
        opcode = connection.opcode
        if self.deflate is not None:
            connection.write(compressed_frame(opcode, self.deflate(message)))
        else:
            connection.write(text_frame(message) if opcode == TEXT else binary_frame(message))

    def native_pong(self) -> None:
        pass

    def writing_paused(self) -> None:
        self.connection.pause_reading()

    def writing_resumed(self) -> None:
        self.connection.resume_reading()

    def transport_closed(self) -> None:
        pass


async def serve(port: int) -> None:
    settings = WebSocketSettings(compression=True, message_size_limit=MESSAGE_BYTES)
    admission = Admission(SystemClock(), lambda: 0)
    endpoint = WebSocketEndpoint(settings, Origins(["*"]), admission, Echo)
    # The suite cuts messages of 4 MiB into frames of 64 bytes.
    endpoint.limits = MessageLimits(MESSAGE_BYTES, MESSAGE_BYTES, fragments=100_000)
    listener = Listener(Routes({"/": endpoint}))
    await listener.start("127.0.0.1", port)
    print(listener.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    assert TEXT != BINARY
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
