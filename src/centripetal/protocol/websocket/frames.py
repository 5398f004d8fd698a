"""WebSocket frames (RFC 6455, section 5): writing them, and reading the common ones in one step."""

from __future__ import annotations

from struct import Struct

from .closing import close_payload
from .masking import unmask

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

FIN = 0x80
RSV1 = 0x40
MASKED = 0x80
MAX_CONTROL_BYTES = 125


_pack_medium = Struct(">BBH").pack
_pack_long = Struct(">BBQ").pack


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return _pack_medium(first, 126, size)
    return _pack_long(first, 127, size)


_SHORT_TEXT = [_header(FIN | TEXT, size) for size in range(126)]
_SHORT_BINARY = [_header(FIN | BINARY, size) for size in range(126)]
_SHORT_COMPRESSED = {
    first: [_header(first, size) for size in range(126)] for first in (FIN | RSV1 | TEXT, FIN | RSV1 | BINARY)
}


def text_frame(payload: bytes) -> bytes:
    """Frames a whole text message; the payload must be UTF-8."""
    size = len(payload)
    return (_SHORT_TEXT[size] if size < 126 else _header(0x81, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Frames a whole binary message."""
    size = len(payload)
    return (_SHORT_BINARY[size] if size < 126 else _header(0x82, size)) + payload


def compressed_frame(opcode: int, deflated: bytes) -> bytes:
    """Frames a whole compressed message.

    Args:
        opcode: TEXT or BINARY.
        deflated: what `deflate.Deflater` made of the message.
    """
    size = len(deflated)
    first = FIN | RSV1 | opcode
    return (_SHORT_COMPRESSED[first][size] if size < 126 else _header(first, size)) + deflated


def close_frame(code: int, reason: str = "") -> bytes:
    """Frames a close; a code of 0 leaves the payload empty."""
    return control_frame(CLOSE, close_payload(code, reason) if code else b"")


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """Frames a close, ping or pong with a payload of at most 125 bytes."""
    return bytes((FIN | opcode, len(payload))) + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """Frames a ping."""
    return control_frame(PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """Frames a pong."""
    return control_frame(PONG, payload)


def whole_message(data: bytes, position: int, limit: int) -> bytes | None:
    """Reads the frame that nearly every message is: whole in the buffer, final, uncompressed, below 64 KiB.

    Must not be called within a fragmented message. Whatever is not such a frame, or is not in order, is left for
    `messages.MessageParser`, which knows all the rules.

    Args:
        data: received bytes.
        position: where a frame begins in them.
        limit: largest message in bytes.

    Returns:
        The payload in clear, or None. The frame had `frame_size(len(payload))` bytes.
    """
    available = len(data) - position
    if available < 6:
        return None
    first = data[position]
    if first != 0x81 and first != 0x82:
        return None
    size = data[position + 1] - MASKED
    start = position + 6
    if size == 126:
        if available < 8:
            return None
        size = (data[position + 2] << 8) | data[position + 3]
        if size < 126:
            return None
        start = position + 8
    elif size > 125 or size < 0:
        return None
    end = start + size
    if end > len(data) or size > limit:
        return None
    payload = unmask(data[start:end], data[start - 4 : start])
    if first == 0x81 and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload


def frame_size(payload_size: int) -> int:
    """Returns how many bytes a client's frame has whose payload `whole_message` gave."""
    return payload_size + (6 if payload_size < 126 else 8)
