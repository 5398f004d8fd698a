"""What the workers of one server count together, in memory that they share."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import time

from ..interfaces import SystemClock
from ..transports.admission import Bucket

WAIT_SECONDS = 0.02
"""A lock that is not free after so long is passed over: its holder has been stopped."""

_BYTES = 8


class SharedCounts:
    """A number of clients for each worker, and the places of `client.connection_rate_limit`.

    Make it before the workers are forked.

    Args:
        workers: how many there are.

    Attributes:
        bucket: the places.
    """

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, (workers + Bucket.SIZE) * _BYTES))
        self._clients = memory[: workers * _BYTES].cast("q")
        self.bucket = Bucket(SystemClock(), memory[workers * _BYTES :].cast("d"), SharedLock())

    def set(self, worker: int, count: int) -> None:
        """Sets a worker's count; only that worker does, and the supervisor when it has died."""
        self._clients[worker] = count

    def total(self) -> int:
        """Returns the sum."""
        return sum(self._clients)


class SharedLock:
    """A lock of processes that are forked from one, for some instructions. The kernel frees it when its holder dies."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process

    def __enter__(self) -> None:
        until = 0.0
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                now = time.monotonic()
                until = until or now + WAIT_SECONDS
                if now > until:
                    return
                os.sched_yield()

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)
