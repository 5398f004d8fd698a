"""Removes the mask that clients put on every frame (RFC 6455, section 5.3)."""

from __future__ import annotations

# XOR of two big integers is the fastest way of the standard library up to about a kilobyte (0.45 µs for 60 bytes);
# beyond it, translating each of the four byte lanes through a table grows more slowly.
_LANES_FROM = 1024
_TABLES = [bytes(byte ^ key for byte in range(256)) for key in range(256)]
_ZERO = b"\0\0\0\0"


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Removes (or applies) a mask.

    Args:
        payload: masked bytes, beginning where the mask begins.
        mask: four bytes.

    Returns:
        The bytes in clear.
    """
    size = len(payload)
    if size >= _LANES_FROM:
        if mask == _ZERO:
            return payload
        clear = bytearray(size)
        for lane in range(4):
            clear[lane::4] = payload[lane::4].translate(_TABLES[mask[lane]])
        return bytes(clear)
    keys = (mask * ((size >> 2) + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")
