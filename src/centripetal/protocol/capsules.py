"""Capsules (RFC 9297): what the two sides of a WebTransport session tell each other on the stream of its request."""

from __future__ import annotations

from .errors import ProtocolError

CLOSE_SESSION = 0x2843
"""CLOSE_WEBTRANSPORT_SESSION: a code of 32 bits and a reason."""

DRAIN_SESSION = 0x78AE
"""DRAIN_WEBTRANSPORT_SESSION: no new streams, please; it has no payload."""

MAX_REASON_BYTES = 1024


def quic_varint(number: int) -> bytes:
    """Returns a number as a variable-length integer of QUIC (RFC 9000, 16).

    Args:
        number: below 2**62.
    """
    for power, prefix in enumerate((0x00, 0x40, 0x80, 0xC0)):
        size = 1 << power
        if number < 1 << (8 * size - 2):
            return (number | prefix << (8 * (size - 1))).to_bytes(size, "big")
    raise ValueError("number is too large for a variable-length integer")


def read_quic_varint(data: bytes, start: int) -> tuple[int, int]:
    """Reads a variable-length integer of QUIC.

    Returns:
        The number and where it ends; the end is -1 if the data stops before it.
    """
    if start >= len(data):
        return 0, -1
    size = 1 << (data[start] >> 6)
    end = start + size
    if end > len(data):
        return 0, -1
    return int.from_bytes(data[start:end], "big") & ((1 << (8 * size - 2)) - 1), end


def capsule(kind: int, payload: bytes) -> bytes:
    """Returns a capsule."""
    return quic_varint(kind) + quic_varint(len(payload)) + payload


def close_session(code: int, reason: str) -> bytes:
    """Returns the capsule that ends a WebTransport session.

    Args:
        code: 32 bits.
        reason: cut at 1024 bytes.
    """
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
    return capsule(CLOSE_SESSION, code.to_bytes(4, "big") + text.encode())


class CapsuleReader:
    """Finds the end of a session in what comes on the stream of its request; other capsules are skipped.

    Attributes:
        closed: the peer has ended the session.
    """

    __slots__ = ("_left", "_pending", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._pending = b""
        self._left = 0  # bytes to skip

    @property
    def is_between_capsules(self) -> bool:
        """Nothing is unfinished, so that another reader could go on."""
        return not self._pending and not self._left

    def feed(self, data: bytes) -> None:
        """Takes more of the stream, split anywhere.

        Raises:
            ProtocolError: a capsule that ends the session is malformed.
        """
        data = self._pending + data
        self._pending = b""
        position = 0
        while position < len(data) and not self.closed:
            if self._left:
                skipped = min(self._left, len(data) - position)
                self._left -= skipped
                position += skipped
                continue
            kind, at = read_quic_varint(data, position)
            size, body = read_quic_varint(data, at) if at >= 0 else (0, -1)
            if body < 0:
                self._pending = data[position:]
                return
            if kind == CLOSE_SESSION:
                if not 4 <= size <= 4 + MAX_REASON_BYTES:
                    raise ProtocolError("the capsule that ends a session is malformed")
                # Code and reason are the client's own and of no use here.
                self.closed = True
            self._left = size
            position = body
