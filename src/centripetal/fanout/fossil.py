"""Fossil deltas: patches that turn one payload into the next (delta type `fossil`).

A patch is `SIZE\\n`, then segments, then `CHECKSUM;`. A segment either copies from the source (`COUNT@OFFSET,`) or inserts
text (`COUNT:TEXT`). Numbers are unsigned 32-bit, written in base 64 with the digits below.

How a patch is found: whatever both payloads begin and end with is compared at C speed, which settles most publications
of a changing document. For what lies between, the next place where the two run together again is first looked for nearby,
then in a table of the source's blocks. Every step is counted against a budget, so the cost of a patch is bounded
whatever the payloads are; when the budget is used up the rest goes in as text.

A segment never begins or ends inside a UTF-8 character of the target: a patch between two UTF-8 texts is UTF-8 text itself,
and so can travel as a JSON string.
"""

from __future__ import annotations

from zlib import adler32

MAX_DELTA_BYTES = 1 << 20
"""Payloads above this size are not compared by bounded_delta: they are sent in full."""

SEARCH_BUDGET = 8192
"""Search steps of one patch; a step costs about 0.2 µs."""

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_DIGIT_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_MAX_NUMBER_DIGITS = 6
_MAX_NUMBER = 0xFFFFFFFF

_BLOCK = 16
"""Shortest text that is worth a search, and the table's smallest block."""

_MAX_BLOCKS = 2048
"""Most blocks in the table; larger payloads get larger blocks."""

_NEARBY = (0, 8, 16, 32, 64, 128)
"""How far behind a difference the two payloads are tried for running together again."""

_STRIDE_STEPS = 256
"""After so many positions without a match the search takes larger strides."""

_MATCH_COST = 24
"""Steps counted for a look nearby and the measuring of a match."""

_WORTH_A_TABLE = 64
"""For less text than this no table is made."""

_Copies = list[tuple[int, int, int]]


class FossilError(ValueError):
    """A patch is malformed or does not belong to the source."""


def bounded_delta(source: bytes, target: bytes, budget: int = SEARCH_BUDGET) -> bytes | None:
    """Makes a patch if there is one that is smaller than the target.

    Args:
        source: the payload that the receiver has.
        target: the payload that it is to get.
        budget: most search steps.

    Returns:
        The patch; None when the target itself should be sent, because the patch would not be smaller or the payloads are
        above MAX_DELTA_BYTES.
    """
    size = len(target)
    if len(source) <= _BLOCK or size <= _BLOCK or len(source) > MAX_DELTA_BYTES or size > MAX_DELTA_BYTES:
        return None
    copies = _Matcher(source, target, budget).run()
    if not copies:
        return None
    delta = _encode(target, copies, size)
    return delta if delta is not None and len(delta) < size else None


def create_delta(source: bytes, target: bytes, budget: int = SEARCH_BUDGET) -> bytes:
    """Makes a patch, whatever its size.

    Args:
        source: the payload that the receiver has.
        target: the payload that it is to get.
        budget: most search steps.

    Returns:
        The patch.
    """
    copies: _Copies = []
    if len(source) > _BLOCK and len(target) > _BLOCK:
        copies = _Matcher(source, target, budget).run()
    return _encode(target, copies) or b""


def apply_delta(source: bytes, delta: bytes, max_bytes: int = MAX_DELTA_BYTES) -> bytes:
    """Applies a patch.

    Args:
        source: what the patch was made from.
        delta: the patch.
        max_bytes: largest result.

    Returns:
        The target.

    Raises:
        FossilError: the patch is malformed, too large, or its checksum says that it belongs to another source.
    """
    size, position = _read_number(delta, 0)
    if delta[position : position + 1] != b"\n":
        raise FossilError("the size is not followed by a newline")
    if size > max_bytes:
        raise FossilError("the result would be too large")
    position += 1
    parts: list[bytes] = []
    total = 0
    while position < len(delta):
        number, position = _read_number(delta, position)
        operator = delta[position : position + 1]
        position += 1
        if operator == b";":
            target = b"".join(parts)
            if total != size or position != len(delta):
                raise FossilError("the size of the result is not the declared one")
            if number != checksum(target):
                raise FossilError("the checksum of the result is not the declared one")
            return target
        total += number
        if total > size:
            raise FossilError("the result is larger than declared")
        part, position = _read_segment(operator, number, source, delta, position)
        parts.append(part)
    raise FossilError("the patch has no end")


def _read_segment(operator: bytes, size: int, source: bytes, delta: bytes, position: int) -> tuple[bytes, int]:
    """Returns what a segment stands for, and where it ends."""
    if operator == b"@":
        offset, position = _read_number(delta, position)
        if delta[position : position + 1] != b",":
            raise FossilError("a copy segment has no end")
        if offset + size > len(source):
            raise FossilError("a copy segment reaches beyond the source")
        return source[offset : offset + size], position + 1
    if operator == b":":
        if position + size > len(delta):
            raise FossilError("an insert segment reaches beyond the patch")
        return delta[position : position + size], position + size
    raise FossilError("unknown operator")


def checksum(data: bytes) -> int:
    """Adds the big-endian 32-bit words of zero-padded data, modulo 2**32."""
    total = 0
    for lane in range(4):
        column = data[lane::4]
        # The low half of Adler-32 is the plain sum of up to 256 bytes, without an int object for each byte.
        if len(column) <= 256:
            lane_sum = adler32(column, 0) & 0xFFFF
        else:
            view = memoryview(column)
            lane_sum = 0
            for start in range(0, len(column), 256):
                lane_sum += adler32(view[start : start + 256], 0) & 0xFFFF
        total += lane_sum << (24 - 8 * lane)
    return total & _MAX_NUMBER


def _number(value: int) -> bytes:
    if value < 64:
        return _DIGITS[value : value + 1]
    digits = bytearray()
    while value:
        digits.append(_DIGITS[value & 63])
        value >>= 6
    digits.reverse()
    return bytes(digits)


def _number_size(value: int) -> int:
    return 1 if value < 64 else (value.bit_length() + 5) // 6


def _read_number(delta: bytes, position: int) -> tuple[int, int]:
    """Reads digits up to the first byte that is none; returns the number and where it ends."""
    value = 0
    start = position
    for byte in delta[start : start + _MAX_NUMBER_DIGITS + 1]:
        digit = _DIGIT_VALUES.get(byte)
        if digit is None:
            break
        value = value << 6 | digit
        position += 1
    if position == start or position - start > _MAX_NUMBER_DIGITS or value > _MAX_NUMBER:
        raise FossilError("a number is missing or too large")
    return value, position


def _encode(target: bytes, copies: _Copies, limit: int = _MAX_NUMBER) -> bytes | None:
    """Writes the patch; None, before the work of the checksum, when it reaches the limit."""
    parts = [_number(len(target)), b"\n"]
    position = 0
    for offset, start, count in copies:
        if start > position:
            parts += (_number(start - position), b":", target[position:start])
        parts += (_number(count), b"@", _number(offset), b",")
        position = start + count
    if position < len(target) or not copies:
        parts += (_number(len(target) - position), b":", target[position:])
    if sum(map(len, parts)) >= limit:
        return None
    parts += (_number(checksum(target)), b";")
    return b"".join(parts)


class _Matcher:
    """Finds what of the target can be copied.

    Attributes:
        copies: (source offset, target offset, count) in the target's order.
        position: up to where the target is copied.
        budget: search steps that are left.
    """

    __slots__ = ("aligned", "budget", "copies", "position", "source", "target")

    def __init__(self, source: bytes, target: bytes, budget: int) -> None:
        self.source = source
        self.target = target
        self.budget = budget
        self.copies: _Copies = []
        self.position = 0
        self.aligned = target.isascii()

    def run(self) -> _Copies:
        source = self.source
        target = self.target
        shorter = min(len(source), len(target))
        prefix = _common_prefix(source, 0, target, 0, shorter)
        self.add(0, 0, prefix)
        if prefix == len(target):
            return self.copies
        suffix = _common_suffix(source, len(source), target, len(target), shorter - prefix)
        if suffix < _BLOCK:
            suffix = 0
        end = len(target) - suffix
        if end - prefix >= _BLOCK:
            self.search(prefix, prefix, end)
        if suffix:
            self.add(len(source) - suffix, end, suffix)
        return self.copies

    def search(self, near: int, scan: int, end: int) -> None:
        """Adds copies for target[scan:end]; `near` is where the last match ended in the source."""
        source = self.source
        target = self.target
        table: dict[bytes, int] | None = None
        block = _BLOCK
        while scan + _BLOCK <= end and self.budget > 0:
            self.budget -= _MATCH_COST
            found, start = self.look_nearby(near, scan, end)
            if found < 0:
                if table is None:
                    if end - scan < _WORTH_A_TABLE:
                        break
                    while len(source) > block * _MAX_BLOCKS:
                        block *= 2
                    table = _index(source, block)
                    self.budget -= len(table) // 2
                found, start = self.look_up(table, block, scan, end)
                if found < 0:
                    break
            back = _common_suffix(source, found, target, start, min(found, start - self.position))
            found -= back
            start -= back
            count = _common_prefix(source, found, target, start, min(len(source) - found, end - start))
            self.add(found, start, count)
            scan = start + count
            near = found + count

    def look_nearby(self, near: int, scan: int, end: int) -> tuple[int, int]:
        """Looks shortly behind a difference for text that both have; returns its offsets, or -1 and 0."""
        target = self.target
        for distance in _NEARBY:
            start = scan + distance
            if start + _BLOCK > end:
                break
            found = self.source.find(target[start : start + _BLOCK], near, near + 2 * distance + 2 * _BLOCK)
            if found >= 0:
                return found, start
        return -1, 0

    def look_up(self, table: dict[bytes, int], block: int, scan: int, end: int) -> tuple[int, int]:
        """Looks in target[scan:end] for a block of the source; returns its offsets, or -1 and 0."""
        target = self.target
        get = table.get
        stop = end - block + 1
        stride = 1
        while scan < stop and self.budget > 0:
            limit = min(stop, scan + stride * _STRIDE_STEPS)
            for start in range(scan, limit, stride):
                found = get(target[start : start + block], -1)
                if found >= 0:
                    self.budget -= (start - scan) // stride
                    return found, start
            self.budget -= _STRIDE_STEPS + _STRIDE_STEPS * block // 256
            scan += stride * _STRIDE_STEPS
            stride += 1
        return -1, 0

    def add(self, offset: int, start: int, count: int) -> None:
        """Adds a match (source offset, target offset, count), if copying costs less than inserting."""
        if not self.aligned:
            target = self.target
            stop = start + count
            while count and start and target[start] & 0xC0 == 0x80:
                start += 1
                offset += 1
                count -= 1
            while count and stop < len(target) and target[stop] & 0xC0 == 0x80:
                stop -= 1
                count -= 1
        cost = _number_size(start - self.position) + _number_size(count) + _number_size(offset) + 3
        if count >= cost:
            self.copies.append((offset, start, count))
            self.position = start + count


def _index(source: bytes, block: int) -> dict[bytes, int]:
    """Maps the source's blocks to their first offsets."""
    starts = range((len(source) // block - 1) * block, -1, -block)
    return {source[start : start + block]: start for start in starts}


def _common_prefix(a: bytes, a_start: int, b: bytes, b_start: int, limit: int) -> int:
    """Counts the equal bytes from the two offsets on, at most `limit`."""
    low = 0
    step = 32
    while low < limit:
        step = min(step, limit - low)
        if a[a_start + low : a_start + low + step] != b[b_start + low : b_start + low + step]:
            break
        low += step
        step *= 4
    else:
        return limit
    while step > 512:
        half = step // 2
        if a[a_start + low : a_start + low + half] == b[b_start + low : b_start + low + half]:
            low += half
            step -= half
        else:
            step = half
    difference = int.from_bytes(a[a_start + low : a_start + low + step], "big") ^ int.from_bytes(
        b[b_start + low : b_start + low + step], "big"
    )
    return low + step - (difference.bit_length() + 7) // 8


def _common_suffix(a: bytes, a_end: int, b: bytes, b_end: int, limit: int) -> int:
    """Counts the equal bytes before the two offsets, at most `limit`."""
    low = 0
    step = 32
    while low < limit:
        step = min(step, limit - low)
        if a[a_end - low - step : a_end - low] != b[b_end - low - step : b_end - low]:
            break
        low += step
        step *= 4
    else:
        return limit
    while step > 512:
        half = step // 2
        if a[a_end - low - half : a_end - low] == b[b_end - low - half : b_end - low]:
            low += half
            step -= half
        else:
            step = half
    difference = int.from_bytes(a[a_end - low - step : a_end - low], "little") ^ int.from_bytes(
        b[b_end - low - step : b_end - low], "little"
    )
    return low + step - (difference.bit_length() + 7) // 8
