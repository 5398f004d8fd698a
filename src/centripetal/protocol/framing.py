"""How messages stand one after another: newlines, length prefixes, server-sent events."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import ProtocolError

MAX_VARINT_BYTES = 10
CARRIAGE_RETURN = 0x0D  # as json_text.NEWLINE
_ONE_BYTE = [bytes((number,)) for number in range(128)]


class MessageTooLarge(ProtocolError):
    """A message of a byte stream is larger than allowed."""


def varint(number: int) -> bytes:
    """Returns a non-negative integer as an unsigned varint."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def read_varint(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Reads an unsigned varint.

    Returns:
        The number and where it ends; the end is -1 if the data stops before it.

    Raises:
        ProtocolError: it is longer than MAX_VARINT_BYTES or beyond 64 bits.
    """
    number = 0
    size = len(data)
    for place in range(MAX_VARINT_BYTES):
        if start + place >= size:
            return 0, -1
        digit = data[start + place]
        number |= (digit & 127) << (7 * place)
        if digit < 128:
            if number >> 64:
                break
            return number, start + place + 1
    raise ProtocolError("the length is malformed")


def delimit_json(message: bytes) -> bytes:
    """Returns a JSON message with the newline that ends it in a byte stream."""
    return message + b"\n"


def delimit_protobuf(message: bytes) -> bytes:
    """Returns a Protobuf message after its length."""
    return varint(len(message)) + message


def join_json(messages: Iterable[bytes]) -> bytes:
    """Returns JSON messages for one frame: one newline between them, none at the end."""
    return b"\n".join(messages)


def join_protobuf(messages: Iterable[bytes]) -> bytes:
    """Returns Protobuf messages for one frame: each after its length."""
    return b"".join([varint(len(message)) + message for message in messages])


def frame_event(message: bytes) -> bytes:
    """Returns a JSON message as a server-sent event.

    A carriage return, white space in JSON, would end the line of the event and is left out.
    """
    if CARRIAGE_RETURN in message:
        message = message.replace(b"\r", b"")
    return b"data: %b\n\n" % message


class NewlineSplitter:
    """Finds complete newline-delimited messages in a byte stream, split anywhere.

    Args:
        max_bytes: largest message, without its newline.
    """

    __slots__ = ("_max_bytes", "_pending")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pending = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Size of the incomplete message at the end."""
        return len(self._pending)

    def feed(self, data: bytes) -> bytes:
        """Takes more of the stream.

        Returns:
            All messages that are complete now, each with its newline, as decode_commands() takes them; empty for none.

        Raises:
            MessageTooLarge: a message exceeds the bound; the splitter is of no use any more.
        """
        end = data.rfind(b"\n") + 1
        self._check(data, end)
        if not end:
            self._pending += data
            return b""
        complete = bytes(self._pending) + data[:end] if self._pending else data[:end]
        self._pending = bytearray(data[end:])
        return complete

    def _check(self, data: bytes, end: int) -> None:
        if len(self._pending) + len(data) <= self._max_bytes:
            return
        longest = len(data) - end if end else len(self._pending) + len(data)
        start = -len(self._pending)
        while start < end:
            stop = data.find(b"\n", max(start, 0))
            longest = max(longest, stop - start)
            start = stop + 1
        if longest > self._max_bytes:
            raise MessageTooLarge("a message is too large")


class VarintSplitter:
    """Finds complete length-prefixed messages in a byte stream, split anywhere.

    Args:
        max_bytes: largest message, without its length.
    """

    __slots__ = ("_max_bytes", "_missing_bytes", "_pending")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._missing_bytes = 0
        self._pending = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Size of the incomplete message at the end, with its length."""
        return len(self._pending)

    def feed(self, data: bytes) -> bytes:
        """Takes more of the stream.

        Returns:
            All messages that are complete now, each after its length, as decode_commands() takes them; empty for none.

        Raises:
            MessageTooLarge: a message exceeds the bound; the splitter is of no use any more.
            ProtocolError: a length is malformed; likewise.
        """
        if len(data) < self._missing_bytes:
            self._missing_bytes -= len(data)
            self._pending += data
            return b""
        if self._pending:
            data = bytes(self._pending) + data
        end = self._complete_end(data)
        self._pending = bytearray(data[end:])
        return data[:end]

    def _complete_end(self, data: bytes) -> int:
        start, size = 0, len(data)
        self._missing_bytes = 0
        while start < size:
            length, body = read_varint(data, start)
            if body < 0:
                break
            if length > self._max_bytes:
                raise MessageTooLarge("a message is too large")
            if body + length > size:
                self._missing_bytes = body + length - size
                break
            start = body + length
        return start
