"""Measures Fossil deltas: microseconds of processor time per patch for several payloads and sizes. Run: python benchmarks/micro/fossil.py"""

from __future__ import annotations

import json
import random
import time

from centripetal.fanout.fossil import bounded_delta

SIZES = {"128 B": 128, "1 KB": 1024, "16 KB": 16384, "64 KB": 65536, "1 MB": 1 << 20}


def document(size: int, changes: int, seed: int = 1) -> tuple[bytes, bytes]:
    """Makes a JSON document of about `size` bytes and a copy with some fields changed."""
    generator = random.Random(seed)
    rows: list[dict[str, object]] = []
    while len(rows) * 64 < size:
        price = generator.random() * 100
        rows.append({"id": len(rows), "name": f"item {generator.randrange(10**6)}", "price": price})
    before = json.dumps(rows, separators=(",", ":")).encode()
    for _ in range(changes):
        rows[generator.randrange(len(rows))]["price"] = generator.random() * 100
    after = json.dumps(rows, separators=(",", ":")).encode()
    return before[:size], after[:size]


def shifted(size: int) -> tuple[bytes, bytes]:
    """Makes noise, and the same noise with its halves exchanged."""
    noise = random.Random(2).randbytes(size)
    return noise, noise[size // 2 :] + noise[: size // 2]


def periodic_mismatch(size: int) -> tuple[bytes, bytes]:
    """Makes periodic data in which each search finds short matches only."""
    return b"0123456789abcdef!" * (size // 17), (b"0123456789abcdef?" * (size // 17))


def cases(size: int) -> dict[str, tuple[bytes, bytes]]:
    """Names the pairs of payloads of one size."""
    generator = random.Random(3)
    words = ["alpha", "beta", "gamma", "delta", "größe", "naïve"]
    text = " ".join(generator.choice(words) for _ in range(size // 5)).encode()[:size]
    other = " ".join(generator.choice(words) for _ in range(size // 5)).encode()[:size]
    return {
        "one field": document(size, 1),
        "ten fields": document(size, 10),
        "1 % of rows": document(size, max(1, size // 6400)),
        "all rows": document(size, size),
        "noise": (generator.randbytes(size), generator.randbytes(size)),
        "halves": shifted(size),
        "zeros": (bytes(size), bytes(size // 2) + b"1" + bytes(size // 2)),
        "zeros, other": (bytes(size), b"\1" * size),
        "periodic": (b"abcdefg" * (size // 7), b"abcdefgh" * (size // 8)),
        "mismatch": periodic_mismatch(size),
        "words": (text, other),
    }


def main() -> None:
    """Prints one line per payload: the best and the worst of several runs, and the patch's size."""
    for name, size in SIZES.items():
        for case, (source, target) in cases(size).items():
            times = []
            for _ in range(9 if size > 100000 else 50):
                start = time.thread_time()
                delta = bounded_delta(source, target)
                times.append(time.thread_time() - start)
            times.sort()
            patch = "full" if delta is None else f"{len(delta)} B"
            median = times[len(times) // 2] * 1e6
            print(f"{name:>6} {case:14} {times[0] * 1e6:8.1f} µs, median {median:8.1f} µs   {patch}")


if __name__ == "__main__":
    main()
