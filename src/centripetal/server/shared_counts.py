"""What the workers of one server count together, in memory that they share."""

from __future__ import annotations

import mmap
import struct

_COUNT = struct.Struct("q")


class SharedCounts:
    """A number of clients for each worker. Make it before the workers are forked.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * _COUNT.size)

    def set(self, worker: int, count: int) -> None:
        """Sets a worker's count; only that worker does, and the supervisor when it has died."""
        _COUNT.pack_into(self._memory, worker * _COUNT.size, count)

    def total(self) -> int:
        """Returns the sum."""
        return sum(
            _COUNT.unpack_from(self._memory, worker * _COUNT.size)[0] for worker in range(self._workers)
        )
