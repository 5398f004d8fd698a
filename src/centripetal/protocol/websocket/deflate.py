"""permessage-deflate (RFC 7692) without context takeover, so that one compressed frame serves every subscriber."""

from __future__ import annotations

import zlib

_TAIL = b"\0\0\xff\xff"
# Deflate streams may end within a message; every end costs a new decompressor, so their number has a bound.
_MAX_STREAMS = 16
_MAX_OFFERS = 16
_EXTENSION = "permessage-deflate"


class MessageTooBig(Exception):
    """A message inflates to more than its limit."""


class DeflateError(Exception):
    """A compressed message is not valid deflate data."""


class Deflater:
    """Compresses messages independently of each other.

    Args:
        level: 0–9; -1 for zlib's default, -2 for Huffman coding only.
        window_bits: 9–15, at most what the client asked for with `server_max_window_bits`.
    """

    __slots__ = ("_stream",)

    def __init__(self, level: int, window_bits: int = 15) -> None:
        strategy = zlib.Z_DEFAULT_STRATEGY
        if level < -1:
            level, strategy = 1, zlib.Z_HUFFMAN_ONLY
        # One stream for all messages: a full flush forgets what came before and costs much less than a new stream.
        self._stream = zlib.compressobj(min(level, 9), zlib.DEFLATED, -window_bits, 8, strategy)

    def deflate(self, message: bytes) -> bytes:
        """Returns the payload of a compressed frame (`compressed_frame`)."""
        if not message:
            return b"\0"
        stream = self._stream
        return (stream.compress(message) + stream.flush(zlib.Z_FULL_FLUSH))[:-4]


def inflate(payload: bytes, limit: int) -> bytes:
    """Decompresses one message; memory stays below the limit whatever comes in.

    Args:
        payload: of all its frames, in clear.
        limit: largest decompressed size in bytes.

    Returns:
        The message.

    Raises:
        MessageTooBig: it is larger than the limit.
        DeflateError: the payload is not deflate data.
    """
    if not payload:
        return b""
    rest = payload + _TAIL
    message = b""
    for _ in range(_MAX_STREAMS):
        stream = zlib.decompressobj(-15)
        try:
            message += stream.decompress(rest, limit + 1 - len(message))
        except zlib.error as error:
            raise DeflateError("invalid deflate data") from error
        if len(message) > limit:
            raise MessageTooBig
        if not stream.eof:
            return message
        rest = stream.unused_data
        if not rest:
            return message
    raise DeflateError("too many deflate streams in one message")


def negotiate(header: str) -> tuple[str, int] | None:
    """Chooses the first acceptable permessage-deflate offer of a client.

    Args:
        header: `Sec-WebSocket-Extensions`, several values joined by commas.

    Returns:
        (the value of the response header, window bits for the Deflater), or None without an acceptable offer.
    """
    for offer in header.split(",", _MAX_OFFERS)[:_MAX_OFFERS]:
        name, *parameters = [part.strip() for part in offer.split(";", 8)]
        if name.lower() == _EXTENSION:
            window_bits = _accept(parameters)
            if window_bits:
                answer = f"{_EXTENSION}; server_no_context_takeover; client_no_context_takeover"
                if window_bits != 15 or "server_max_window_bits" in offer:
                    answer += f"; server_max_window_bits={window_bits}"
                return answer, window_bits
    return None


def _accept(parameters: list[str]) -> int:
    """Returns the window bits for our side, 0 to decline the offer."""
    window_bits = 15
    seen: set[str] = set()
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        name = name.strip().lower()
        value = value.strip().strip('"')
        if name in seen:
            return 0
        seen.add(name)
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if equals:
                return 0
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if name == "client_max_window_bits" and not equals:
                continue
            if value not in ("8", "9", "10", "11", "12", "13", "14", "15"):
                return 0
            if name == "server_max_window_bits":
                # zlib cannot write raw streams with a window of 256 bytes.
                window_bits = int(value) if value != "8" else 0
        else:
            return 0
    return window_bits
