"""Bodies of HTTP requests, incremental and bounded."""

from __future__ import annotations

_MAX_LINE_BYTES = 256
_MAX_TRAILER_BYTES = 8192
_HEX = frozenset(b"0123456789abcdefABCDEF")


class BadBody(Exception):
    """A body that cannot be served.

    Attributes:
        status: 400 for broken chunks, 413 for too many bytes.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class SizedBody:
    """Puts a body of known length together.

    Args:
        length: bytes, already checked.

    Attributes:
        body: what has come so far.
        complete: all has come.
    """

    __slots__ = ("_length", "body", "complete")

    def __init__(self, length: int) -> None:
        self.body = bytearray()
        self.complete = False
        self._length = length

    def feed(self, data: bytes) -> bytes:
        """Takes received bytes and returns what follows the body."""
        missing = self._length - len(self.body)
        self.body += data[:missing]
        self.complete = len(self.body) == self._length
        return data[missing:]


class ChunkedBody:
    """Puts a chunked body together.

    Args:
        max_bytes: largest body.

    Attributes:
        body: what has come so far.
        complete: the last chunk and the trailer were read.
    """

    __slots__ = ("_max_bytes", "_remaining", "_tail", "_trailer_bytes", "body", "complete")

    def __init__(self, max_bytes: int) -> None:
        self.body = bytearray()
        self.complete = False
        self._max_bytes = max_bytes
        self._remaining = 0  # bytes to come of the current chunk, its line end included
        self._tail = b""  # an unfinished line
        self._trailer_bytes = -1  # of the trailer so far; -1 before it

    def feed(self, data: bytes) -> bytes:
        """Takes received bytes.

        Returns:
            What follows the body, once it is complete; empty before.

        Raises:
            BadBody: see its status.
        """
        if self._tail:
            data = self._tail + data
            self._tail = b""
        position = 0
        while True:
            if self._remaining:
                position = self._take_chunk(data, position)
                if self._remaining:
                    return b""
            end = data.find(b"\n", position, position + _MAX_LINE_BYTES)
            if end < 0:
                if len(data) - position >= _MAX_LINE_BYTES:
                    raise BadBody(400)
                self._tail = data[position:]
                return b""
            line = data[position:end]
            position = end + 1
            if line[-1:] != b"\r":
                raise BadBody(400)
            if self._trailer_bytes < 0:
                self._begin_chunk(line[:-1])
            elif len(line) == 1:
                self.complete = True
                return data[position:]
            else:
                self._trailer_bytes += len(line)
                if self._trailer_bytes > _MAX_TRAILER_BYTES:
                    raise BadBody(400)

    def _begin_chunk(self, line: bytes) -> None:
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not digits or len(digits) > 15 or not _HEX.issuperset(digits):
            raise BadBody(400)
        size = int(digits, 16)
        if len(self.body) + size > self._max_bytes:
            raise BadBody(413)
        if size:
            self._remaining = size + 2
        else:
            self._trailer_bytes = 0

    def _take_chunk(self, data: bytes, position: int) -> int:
        """Takes what there is of the current chunk and the line end after it; returns the position behind."""
        if self._remaining > 2:
            piece = data[position : position + self._remaining - 2]
            self.body += piece
            self._remaining -= len(piece)
            position += len(piece)
        while self._remaining and self._remaining <= 2 and position < len(data):
            if data[position] != (0x0D if self._remaining == 2 else 0x0A):
                raise BadBody(400)
            self._remaining -= 1
            position += 1
        return position
