"""Decompresses bodies without ever holding more than allowed."""

from __future__ import annotations

import zlib

from .result import BadResponse, TooLarge

_GZIP = 16 + zlib.MAX_WBITS


def decompress_gzip(data: bytes, max_bytes: int) -> bytes:
    """Decompresses gzip data of one or more members.

    Args:
        data: compressed.
        max_bytes: the most that may come of it.

    Raises:
        TooLarge: it is more.
        BadResponse: the data is not gzip, or is cut off.
    """
    parts: list[bytes] = []
    size = 0
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(data, max_bytes - size + 1)
        except zlib.error:
            raise BadResponse("the body is not gzip") from None
        size += len(part)
        if size > max_bytes:
            raise TooLarge("the decompressed body is too large")
        if not member.eof:
            raise BadResponse("the gzip body is cut off")
        parts.append(part)
        data = member.unused_data
    return b"".join(parts)
