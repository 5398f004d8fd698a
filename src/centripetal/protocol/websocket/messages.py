"""The whole of RFC 6455's receiving side for servers: an incremental parser fed bytes at any split.

It holds one unfinished frame or message at most, so a connection needs one only while something is unfinished; see
`frames.whole_message` for the common case. It raises nothing: a violation is an event like the others.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from .closing import INVALID_DATA, MESSAGE_TOO_BIG, PROTOCOL_ERROR, check_close, close_payload
from .deflate import DeflateError, MessageTooBig, inflate
from .frames import BINARY, CLOSE, CONTINUATION, FIN, MASKED, MAX_CONTROL_BYTES, PONG, RSV1, TEXT
from .masking import unmask

VIOLATION = -1
"""Kind of event: the peer broke the rules; the payload is that of the close frame to send."""

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")

Event = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What a client may send.

    Attributes:
        message_bytes: largest message as received (`websocket.message_size_limit`).
        inflated_bytes: largest message after decompression (`websocket.decompressed_message_size_limit`).
        fragments: largest number of frames of one message.
    """

    message_bytes: int = 65536
    inflated_bytes: int = 655360
    fragments: int = 16384


class MessageParser:
    """Reads frames and puts messages together.

    Args:
        limits: see MessageLimits.
        compression: permessage-deflate was agreed on.
    """

    __slots__ = (
        "_compressed",
        "_compression",
        "_data",
        "_failed",
        "_final",
        "_fragments",
        "_limits",
        "_mask",
        "_message",
        "_opcode",
        "_position",
        "_remaining",
        "_utf8",
    )  # fmt: skip

    def __init__(self, limits: MessageLimits, compression: bool = False) -> None:
        self._limits = limits
        self._compression = compression
        self._data = b""
        self._position = 0
        self._opcode = 0  # of the unfinished message, 0 without one
        self._compressed = False
        self._fragments = 0
        self._message = bytearray()
        self._utf8: codecs.IncrementalDecoder | None = None
        self._remaining = -1  # bytes to come of the current data frame's payload; -1 between frames
        self._mask = b""
        self._final = False
        self._failed = False

    @property
    def between_messages(self) -> bool:
        """No message is unfinished: what is unread may be parsed by a new parser or by `frames.whole_message`."""
        return self._opcode == 0 and not self._failed

    def feed(self, data: bytes) -> None:
        """Takes received bytes; they are ignored after a violation."""
        if self._failed:
            return
        if self._position < len(self._data):
            data = self._data[self._position :] + data
        self._data = data
        self._position = 0

    def take_unread(self) -> bytes:
        """Gives back the bytes that were fed and not read yet."""
        rest = self._data[self._position :]
        self._data = b""
        self._position = 0
        return rest

    def next_event(self) -> Event | None:
        """Goes on to the next event.

        Returns:
            (TEXT or BINARY, message), (PING or PONG, payload), (CLOSE, the peer's valid payload), or (VIOLATION,
            payload of the close frame to answer with), after which nothing more comes. None when more bytes are needed.
        """
        while True:
            if self._remaining < 0:
                event = self._read_header()
                if event is not None or self._remaining < 0:
                    return event
            event = self._read_payload()
            if event is not None or self._remaining >= 0:
                return event

    def _read_header(self) -> Event | None:
        """Begins a data frame, or reads a whole control frame."""
        data, position = self._data, self._position
        available = len(data) - position
        if available < 2:
            return None
        first, second = data[position], data[position + 1]
        problem = self._problem(first, second)
        if problem:
            return self._fail(PROTOCOL_ERROR, problem)
        size = second & 0x7F
        position += 2
        if size > MAX_CONTROL_BYTES:
            extended = 2 if size == 126 else 8
            if available < 2 + extended:
                return None
            size = int.from_bytes(data[position : position + extended], "big")
            if size < (126 if extended == 2 else 65536) or size >> 63:
                return self._fail(PROTOCOL_ERROR, "bad length")
            position += extended
        if first & 0x08:
            return self._read_control(first & 0x0F, position, size)
        if len(self._message) + size > self._limits.message_bytes:
            return self._fail(MESSAGE_TOO_BIG)
        if len(data) - position < 4:
            return None
        self._mask = data[position : position + 4]
        self._position = position + 4
        return self._begin_frame(first, size)

    def _problem(self, first: int, second: int) -> str:
        """Says what is wrong with the first two bytes of a header, or nothing."""
        opcode = first & 0x0F
        if not second & MASKED:
            return "unmasked frame"
        if first & 0x70:
            may_be_compressed = self._compression and opcode in (TEXT, BINARY)
            if first & 0x70 != RSV1 or not may_be_compressed:
                return "reserved bit"
        if opcode >= CLOSE:
            if opcode > PONG:
                return "reserved opcode"
            if not first & FIN:
                return "fragmented control frame"
            if second & 0x7F > MAX_CONTROL_BYTES:
                return "long control frame"
        elif opcode > BINARY:
            return "reserved opcode"
        elif opcode == CONTINUATION:
            if not self._opcode:
                return "continuation of nothing"
        elif self._opcode:
            return "unfinished message"
        return ""

    def _read_control(self, opcode: int, position: int, size: int) -> Event | None:
        end = position + 4 + size
        if end > len(self._data):
            return None
        payload = unmask(self._data[position + 4 : end], self._data[position : position + 4])
        self._position = end
        if opcode == CLOSE:
            code = check_close(payload)
            if code:
                return self._fail(code, "bad close frame")
        return opcode, payload

    def _begin_frame(self, first: int, size: int) -> Event | None:
        opcode = first & 0x0F
        if opcode:
            self._opcode = opcode
            self._compressed = bool(first & RSV1)
            self._utf8 = _Utf8Decoder() if opcode == TEXT and not self._compressed else None
            self._fragments = 0
        self._fragments += 1
        if self._fragments > self._limits.fragments:
            return self._fail(MESSAGE_TOO_BIG, "too many fragments")
        self._final = bool(first & FIN)
        self._remaining = size
        return None

    def _read_payload(self) -> Event | None:
        position = self._position
        chunk = self._data[position : position + self._remaining]
        if chunk:
            taken = len(chunk)
            self._position = position + taken
            self._remaining -= taken
            chunk = unmask(chunk, self._mask)
            turn = taken & 3
            if turn:
                self._mask = self._mask[turn:] + self._mask[:turn]
            self._message += chunk
        if self._remaining and not chunk:
            return None
        complete = self._final and not self._remaining
        if self._utf8 is not None:
            # Checked as it comes, so that bad text fails at its first bad byte.
            try:
                self._utf8.decode(chunk, complete)
            except UnicodeDecodeError:
                return self._fail(INVALID_DATA, "invalid UTF-8")
        if self._remaining:
            return None
        self._remaining = -1
        return self._finish() if complete else None

    def _finish(self) -> Event:
        opcode, message = self._opcode, bytes(self._message)
        self._opcode = 0
        self._message = bytearray()
        self._utf8 = None
        if self._compressed:
            try:
                message = inflate(message, self._limits.inflated_bytes)
            except MessageTooBig:
                return self._fail(MESSAGE_TOO_BIG)
            except DeflateError:
                return self._fail(INVALID_DATA, "invalid compressed data")
            if opcode == TEXT:
                try:
                    message.decode()
                except UnicodeDecodeError:
                    return self._fail(INVALID_DATA, "invalid UTF-8")
        return opcode, message

    def _fail(self, code: int, reason: str = "") -> Event:
        self._failed = True
        self._data = b""
        self._position = 0
        self._remaining = -1
        self._message = bytearray()
        return VIOLATION, close_payload(code, reason)
