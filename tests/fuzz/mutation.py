"""Makes hostile input out of good input."""

from __future__ import annotations

import random
from collections.abc import Sequence

MAX_BYTES = 20_000

PIECES = (
    b"", b"\n", b"\x00", b"\xff", b"{}", b"[]", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"null", b"true",
    b"-1", b"0", b"1e999", b"18446744073709551616", b"9" * 400, b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\r\n",
    b"\x80" * 11, b"\xff" * 10 + b"\x01", b"[" * 300, b'{"a":' * 300, b":", b",", b" ", b"\t", "é€😀".encode(),
)  # fmt: skip


def mutate(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Returns a seed with a few changes: bits, bytes, pieces put in, parts left out, doubled, or from another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice((1, 2, 4, 16, 200)))
        match chance.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at % len(data)] = chance.randrange(256)
            case 2:
                data[at:at] = chance.choice(PIECES)
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end] * chance.choice((1, 2, 50))
            case 5:
                other = chance.choice(seeds)
                start = chance.randint(0, len(other))
                data[at:end] = other[start : start + chance.choice((1, 8, 64, 1000))]
            case 6:
                data[at:end] = chance.randbytes(chance.choice((1, 4, 30)))
    return bytes(data[:MAX_BYTES])


def split(data: bytes, chance: random.Random) -> list[bytes]:
    """Returns the data in pieces, as a network may deliver it."""
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.choice((0, 1, 3, 10))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
