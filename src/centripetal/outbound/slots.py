"""Bounds how many calls to one target run at once; the others wait in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque

from .result import Overloaded


class Slots:
    """A fair semaphore with a bounded queue. Not for use from several threads."""

    __slots__ = ("_free", "_max_waiting", "_waiting")

    def __init__(self, count: int, max_waiting: int) -> None:
        """Takes how many may run, and how many more may wait."""
        self._free = count
        self._max_waiting = max_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def acquire(self) -> None:
        """Takes a slot, waiting for it behind those who came before.

        Raises:
            Overloaded: too many wait already.
        """
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("too many calls wait for this target")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release()  # the slot came in the same turn of the loop as the end of the caller
            else:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Gives a slot back, to the first who waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
