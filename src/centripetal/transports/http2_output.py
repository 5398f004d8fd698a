"""The sending side of an HTTP/2 connection: what goes out when, within the windows of the peer.

Frames of bodies, of which a fan-out makes many, are written here; all others are the library's.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque

from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from .exchange import Exchange

MAX_UNSENT_CONTROL_BYTES = 262144
"""With more unsent, although bodies wait, the peer is not read: what it sends makes answers that it does not take."""

_WRITE_BYTES = 65536
_HEADER = struct.Struct(">BHBBL")


class Http2Output:
    """Sends for all exchanges of a connection, a frame of each in turn, and joins what a turn of the loop makes.

    Args:
        protocol: the state of the connection.
        exchanges: of the connection by stream; kept by its owner.
        loop: the event loop.

    Attributes:
        transport: of the connection; None before it is made and after it is lost.
    """

    __slots__ = (
        "_blocked", "_exchanges", "_frames", "_loop", "_paused", "_protocol", "_queue", "_scheduled", "_sending",
        "transport",
    )  # fmt: skip

    def __init__(
        self, protocol: H2Connection, exchanges: dict[int, Exchange], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self._protocol = protocol
        self._exchanges = exchanges
        self._loop = loop
        self._queue: deque[Exchange] = deque()  # with something to send
        self._blocked: set[int] = set()  # streams with something to send and a closed window
        self._frames: list[bytes | memoryview] = []
        self._scheduled = False
        self._sending = False
        self._paused = False

    @property
    def is_congested(self) -> bool:
        """So much is unsent that nothing should be read that may need an answer."""
        transport = self.transport
        return self._paused and transport is not None and transport.get_write_buffer_size() > MAX_UNSENT_CONTROL_BYTES

    def wake(self, exchange: Exchange) -> None:
        """Puts an exchange into the queue; see Carrier."""
        self._queue.append(exchange)
        self.schedule()

    def unblock(self, stream_id: int) -> None:
        """The peer has opened the window of a stream."""
        if stream_id in self._blocked:
            self._blocked.discard(stream_id)
            self._queue.append(self._exchanges[stream_id])

    def unblock_all(self) -> None:
        """The peer may have opened all windows."""
        for stream_id in list(self._blocked):
            self.unblock(stream_id)

    def forget(self, stream_id: int) -> None:
        """A stream has ended; its exchange is not among the others any more."""
        self._blocked.discard(stream_id)

    def pause(self) -> None:
        """The transport is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport has room again."""
        self._paused = False
        self.schedule()

    def schedule(self) -> None:
        """Has what there is sent at the end of the loop's turn."""
        if not self._scheduled and self.transport is not None:
            self._scheduled = True
            self._loop.call_soon(self.send_now)

    def collect(self) -> None:
        """Takes what the library has framed; done at once, so that it keeps its place between frames of ours."""
        data = self._protocol.data_to_send()
        if data:
            self._frames.append(data)
            self.schedule()

    def add(self, frame: bytes) -> None:
        """Takes a frame that the library does not know of."""
        self._frames.append(frame)

    def send_now(self) -> None:
        """Sends what flow control and the transport take; see Carrier."""
        self._scheduled = False
        if self._sending or self.transport is None:
            return
        self._sending = True
        try:
            queue = self._queue
            while not self._paused:
                size = 0
                while queue and size < _WRITE_BYTES and (sent := self._send_frame(queue)) >= 0:
                    size += sent
                if not self._frames:
                    return
                self.write()
        finally:
            self._sending = False
        self.write()

    def write(self) -> None:
        """Hands the frames to the transport."""
        transport, frames = self.transport, self._frames
        if transport is not None and frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            transport.write(data)

    def close(self) -> None:
        """The connection is gone."""
        self.transport = None
        self._queue.clear()
        self._blocked.clear()
        self._frames.clear()

    def _send_frame(self, queue: deque[Exchange]) -> int:
        """Frames a piece of the first exchange's body; returns its size, or -1 when the connection's window is closed."""
        exchange = queue[0]
        stream_id = exchange.stream_id
        protocol = self._protocol
        stream = protocol.streams.get(stream_id)
        if stream is None or self._exchanges.get(stream_id) is not exchange:
            queue.popleft()
            return 0
        size = 0
        if exchange.get_write_buffer_size():
            window = protocol.outbound_flow_control_window
            size = min(stream.outbound_flow_control_window, window, protocol.max_outbound_frame_size, _WRITE_BYTES)
            if size <= 0:
                if window <= 0:
                    return -1
                queue.popleft()
                self._blocked.add(stream_id)
                return 0
            piece = exchange.take(size)
            size = len(piece)
            # What H2Connection.send_data() does for a frame that ends nothing, at a tenth of the time.
            stream.outbound_flow_control_window -= size
            protocol.outbound_flow_control_window = window - size
            self._frames.append(_HEADER.pack(size >> 16, size & 0xFFFF, 0, 0, stream_id))
            self._frames.append(piece)
        queue.popleft()
        if exchange.get_write_buffer_size():
            queue.append(exchange)
        elif exchange.is_closing():
            with contextlib.suppress(ProtocolError):  # the peer has just reset the stream
                protocol.end_stream(stream_id)
            self.collect()
            exchange.sent_end()
        return size
