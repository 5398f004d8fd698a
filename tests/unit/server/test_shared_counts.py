"""What workers count together, with processes that are really forked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from centripetal.server import shared_counts
from centripetal.server.shared_counts import SharedCounts, SharedLock
from centripetal.testing import ManualClock
from centripetal.transports.admission import Bucket

TAKES = 20_000
"""So many take processes long enough to get in each other's way."""


@contextmanager
def forked(act: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """Runs a function in a process of its own; what it returns can be had from the result."""
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(sink, str(act()).encode())
        os._exit(0)
    os.close(sink)
    try:
        yield lambda: int(os.read(source, 20))
    finally:
        os.close(source)
        os.waitpid(pid, 0)


def test_each_worker_sets_its_count() -> None:
    counts = SharedCounts(3)
    with forked(lambda: counts.set(1, 5) or 0) as answer:
        answer()
    counts.set(2, 7)
    assert counts.total() == 12
    counts.set(1, 0)
    assert counts.total() == 7
    counts.bucket.resize(4)
    assert counts.total() == 7


def test_processes_never_take_more_places_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_counts, "WAIT_SECONDS", 60.0)  # on a busy machine its holder may not run for a while
    bucket = SharedCounts(3).bucket
    bucket._clock = ManualClock()
    bucket.resize(TAKES)
    wait, go = os.pipe()

    def take_many() -> int:
        os.read(wait, 1)
        return sum(bucket.take() for _ in range(TAKES))

    with forked(take_many) as first, forked(take_many) as second:
        os.write(go, b"12")
        assert first() + second() == TAKES


def test_the_same_size_again_fills_nothing() -> None:
    bucket = SharedCounts(2).bucket
    bucket.resize(2)
    assert bucket.take() and bucket.take() and not bucket.take()
    with forked(lambda: bucket.resize(2) or int(bucket.take())) as answer:
        assert answer() == 0
    with forked(lambda: bucket.resize(3) or int(bucket.take())) as answer:
        assert answer() == 1
    bucket.resize(3)
    assert bucket.take() and bucket.take() and not bucket.take()


def test_a_lock_whose_holder_dies_is_free() -> None:
    lock = SharedLock()
    with forked(lambda: lock.__enter__() or 0) as answer:
        answer()
    bucket = Bucket(ManualClock(), lock=lock)
    bucket.resize(1)
    with forked(lambda: int(bucket.take())) as answer:
        assert answer() == 1


def test_nobody_waits_long_for_a_lock_whose_holder_is_stopped() -> None:
    lock = SharedLock()
    wait, go = os.pipe()

    def hold() -> int:
        with lock:
            os.write(ready, b"x")
            return len(os.read(wait, 1))

    held, ready = os.pipe()
    with forked(hold) as answer:
        os.read(held, 1)
        started = time.monotonic()
        with lock:
            assert time.monotonic() - started < 10.0
        os.write(go, b"x")
        assert answer() == 1
