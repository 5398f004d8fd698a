"""The transport of a connection in clear text: what asyncio's transports do, nearer to the socket.

What is written goes to the kernel at once, as long as nothing waits; what waits does so as the pieces that were written,
which many connections may share. An idle connection has no buffer, no timer, and nothing in the event loop (see `poller`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from _socket import socket as Socket
from typing import Any, cast

from .poller import READABLE, WRITABLE, Poller

HIGH_WATER_BYTES = 65536
LOW_WATER_BYTES = 16384
"""Water marks of what waits to be sent, as asyncio's own transports have them."""

READ_BYTES = 65536
"""So much is read at once."""

PIECES_A_WRITE = 64
"""Of what waits, so many are given to the kernel at once."""

MORE_FOLLOWS = getattr(socket, "MSG_MORE", 0)
"""Has the kernel wait for the end of the connection, which then travels with the last bytes."""


class TcpTransport:
    """A connected stream socket, of TCP or the Unix domain.

    It behaves like an asyncio.Transport, where the methods without a text are described. It derives from nothing, as the
    protocols do that it mostly carries, since compiled classes are only quick if they do not.

    Args:
        poller: which tells when the socket is ready.
        connection: the socket, which is the transport's from now on; it does not block.
        peer: its address.
        protocol: of the connection, which is told of it by `start`.
    """

    __slots__ = (
        "_closing", "_events", "_peer", "_pending", "_pending_bytes", "_poller", "_protocol", "_says_eof", "_socket",
        "_writing_paused",
    )  # fmt: skip

    def __init__(self, poller: Poller, connection: Socket, peer: Any, protocol: asyncio.Protocol) -> None:
        self._poller = poller
        self._socket: Socket | None = connection
        self._peer = peer
        self._protocol: asyncio.Protocol | None = protocol
        self._events = READABLE
        self._pending: list[bytes | memoryview] | None = None
        self._pending_bytes = 0
        self._closing = False
        self._says_eof = False  # after what waits
        self._writing_paused = False

    def start(self) -> None:
        """Tells the protocol that the connection is made, and begins to read."""
        connection, protocol = self._socket, self._protocol
        assert connection is not None and protocol is not None
        self._poller.add(connection.fileno(), self)
        protocol.connection_made(cast("asyncio.Transport", self))

    def ready(self, events: int) -> None:
        """The socket can be read or written; see poller.Pollable."""
        try:
            if events & WRITABLE and self._pending is not None:
                self._write_pending()
            if events & ~WRITABLE and self._events & READABLE:
                self._read_some()
        except Exception as error:  # noqa: BLE001  whatever it was, others go on
            message = "the protocol of a connection failed"
            context = {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            self._poller.loop.call_exception_handler(context)
            self._break(error)

    # Reading

    def _read_some(self) -> None:
        connection, protocol = self._socket, self._protocol
        if self._closing or connection is None or protocol is None:
            self._wait_for(self._events & WRITABLE)
            return
        try:
            data = connection.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._break(error)
            return
        if data:
            protocol.data_received(data)
        elif protocol.eof_received():
            self._wait_for(self._events & WRITABLE)
        else:
            self.close()

    def pause_reading(self) -> None:
        if not self._closing:
            self._wait_for(self._events & WRITABLE)

    def resume_reading(self) -> None:
        if not self._closing:
            self._wait_for(self._events | READABLE)

    def _wait_for(self, events: int) -> None:
        before = self._events
        if events != before and self._socket is not None:
            self._events = events
            try:
                self._poller.change(self._socket.fileno(), before, events)
            except OSError as error:  # the system has no room to watch it; whoever asked must not fail for that
                self._events = 0
                self._break(error)

    # Writing

    def write(self, data: bytes) -> None:
        """Writes as much as the kernel takes at once, and the rest when it takes more."""
        if self._pending is not None:
            self._write_later(data)
            return
        connection = self._socket
        if self._closing or self._says_eof or connection is None:
            return
        try:
            written = connection.send(data)
        except (BlockingIOError, InterruptedError):
            written = 0
        except OSError as error:
            self._break(error)
            return
        if written < len(data):
            self._write_later(memoryview(data)[written:] if written else data)

    def write_last(self, data: bytes) -> bool:
        """Writes, then closes.

        Returns:
            Whether the connection ends in this turn of the loop: the kernel has taken everything.
        """
        connection = self._socket
        if self._pending is None and not self._closing and not self._says_eof and connection is not None:
            with contextlib.suppress(OSError):
                written = connection.send(data, MORE_FOLLOWS)
                data = data[written:]
        if data:
            self.write(data)
        self.close()
        return self._pending is None

    def _write_later(self, data: bytes | memoryview) -> None:
        if self._closing or self._says_eof:
            return
        if self._pending is None:
            self._pending = [data]
            self._wait_for(self._events | WRITABLE)
        else:
            self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > HIGH_WATER_BYTES and not self._writing_paused:
            self._writing_paused = True
            cast("asyncio.Protocol", self._protocol).pause_writing()

    def _write_pending(self) -> None:
        connection, pending = self._socket, self._pending
        assert connection is not None and pending is not None
        try:
            written = connection.sendmsg(pending[:PIECES_A_WRITE])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._break(error)
            return
        self._pending_bytes -= written
        self._drop_written(pending, written)
        if not pending:
            self._pending = None
            self._wait_for(self._events & READABLE)
            if self._closing:
                self._lose(None)
                return
            if self._says_eof:
                self._shut_down()
        if self._writing_paused and self._pending_bytes <= LOW_WATER_BYTES:
            self._writing_paused = False
            if self._protocol is not None:
                self._protocol.resume_writing()

    def _drop_written(self, pending: list[bytes | memoryview], written: int) -> None:
        whole = 0
        for piece in pending:
            if written < len(piece):
                break
            written -= len(piece)
            whole += 1
        del pending[:whole]
        if written:
            pending[0] = memoryview(pending[0])[written:]

    def get_write_buffer_size(self) -> int:
        return self._pending_bytes

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Ends our side of the connection, after what waits."""
        if not self._says_eof and not self._closing:
            self._says_eof = True
            if self._pending is None:
                self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    # Closing

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closes the connection after what waits."""
        if not self._closing:
            self._closing = True
            if self._pending is None:
                self._poller.loop.call_soon(self._lose, None)
            else:
                self._wait_for(WRITABLE)

    def abort(self) -> None:
        """Closes the connection at once."""
        self._break(None)

    def _break(self, error: Exception | None) -> None:
        if self._socket is not None:
            self._closing = True
            self._pending = None
            self._pending_bytes = 0
            self._wait_for(0)
            self._poller.loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        connection, protocol = self._socket, self._protocol
        if connection is None:
            return
        self._socket = self._protocol = None
        self._poller.discard(connection.fileno())
        connection.close()
        if protocol is not None:
            protocol.connection_lost(error)

    # Its ends

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns `peername` or `sockname`; `default` for everything else."""
        if name == "peername":
            return self._peer
        if name == "sockname" and self._socket is not None:
            return self._socket.getsockname()
        return default

    def get_protocol(self) -> asyncio.BaseProtocol | None:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)


def write_last(transport: asyncio.Transport, data: bytes) -> bool:
    """Writes, then closes.

    Returns:
        Whether the connection ends in this turn of the loop.
    """
    if isinstance(transport, TcpTransport):
        return transport.write_last(data)
    transport.write(data)
    transport.close()
    return False
