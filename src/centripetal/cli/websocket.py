"""A small blocking WebSocket client (RFC 6455), enough for a terminal tool that listens."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import struct
from urllib.parse import urlsplit

from .local_tls import LocalTls

CONNECT_TIMEOUT_SECONDS = 10.0
MAX_HEAD_BYTES = 16 * 1024
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_NO_ADDRESS = "is not an address such as ws://localhost:8000/connection/websocket"
_KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class WebSocketFailure(Exception):
    """The server could not be reached, or does not speak WebSocket at that address."""


class WebSocketClosed(Exception):
    """The server ended the connection.

    Attributes:
        code: close code; 1006 if there was no close frame.
        reason: text of the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WebSocketClient:
    """One open connection; reads block until something arrives."""

    def __init__(self, url: str, tls: LocalTls | None = None) -> None:
        """Connects and makes the handshake.

        Args:
            url: begins with ws:// or wss://.
            tls: how to connect to a `wss` address of this machine; None to check its certificate as usual.

        Raises:
            WebSocketFailure: there is no WebSocket server.
        """
        self._buffer = bytearray()
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "wss" else 80)
        except ValueError:
            raise WebSocketFailure(_NO_ADDRESS) from None
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise WebSocketFailure(_NO_ADDRESS)
        try:
            self._socket = socket.create_connection((parts.hostname, port), CONNECT_TIMEOUT_SECONDS)
            if parts.scheme == "wss":
                tls = tls or LocalTls(ssl.create_default_context(), parts.hostname)
                self._socket = tls.wrap(self._socket)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._shake_hands(parts.netloc.rpartition("@")[2], target)
        except (OSError, ValueError) as error:
            raise WebSocketFailure(f"cannot be reached: {getattr(error, 'strerror', None) or error}") from error
        self._socket.settimeout(None)

    def close(self) -> None:
        """Ends the connection."""
        try:
            self._write(_CLOSE, struct.pack(">H", 1000))
        except OSError:
            pass  # the other side was faster
        self._socket.close()

    def send(self, text: str) -> None:
        """Sends one text message; raises WebSocketClosed if the connection is gone."""
        try:
            self._write(_TEXT, text.encode())
        except OSError as error:
            raise WebSocketClosed(1006, str(error)) from error

    def receive(self) -> str:
        """Returns the next text message; pings are answered meanwhile.

        Raises:
            WebSocketClosed: the connection ended.
        """
        message = bytearray()
        while True:
            try:
                final, opcode, payload = self._read_frame()
                if opcode == _PING:
                    self._write(_PONG, payload)
            except OSError as error:
                raise WebSocketClosed(1006, str(error)) from error
            if opcode == _CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                raise WebSocketClosed(code, payload[2:].decode("utf-8", "replace"))
            if opcode in (_TEXT, _BINARY, _CONTINUATION):
                message += payload
                if len(message) > MAX_MESSAGE_BYTES:
                    raise WebSocketClosed(1009, "the server sent too large a message")
                if final:
                    return message.decode("utf-8", "replace")

    def _shake_hands(self, host: str, target: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise WebSocketFailure("answers with an endless head")
            self._fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        status, *headers = head.decode("latin-1").split("\r\n")
        if " 101 " not in f"{status} ":
            raise WebSocketFailure(f"answers {' '.join(status.split()[1:]) or 'nonsense'} to a WebSocket handshake")
        # The handshake's digest proves that the other side speaks WebSocket; nothing secret depends on it.
        accept = base64.b64encode(hashlib.sha1((key + _KEY_SUFFIX).encode(), usedforsecurity=False).digest()).decode()
        values = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in headers)}
        if values.get("sec-websocket-accept") != accept:
            raise WebSocketFailure("does not answer the WebSocket handshake correctly")

    def _read_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self._take(8))[0]
        if length > MAX_MESSAGE_BYTES or second & 0x80:
            raise WebSocketClosed(1002, "the server sent a frame that it must not send")
        return bool(first & 0x80), first & 0x0F, self._take(length)

    def _write(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        self._socket.sendall(head + mask + bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload)))

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise OSError("the connection was cut")
        self._buffer += received
