"""Workers that wait until all of them may accept connections."""

from __future__ import annotations

import asyncio
from typing import Protocol


class MusterMethods(Protocol):
    """What a worker tells the process that keeps the engine."""

    async def report(self, number: int) -> None:
        """A worker is ready to accept connections; returns when it may."""


class Muster:
    """Counts the workers that are ready; implements MusterMethods.

    Args:
        count: how many workers there are.

    Attributes:
        complete: set when all have been ready at the same time.
        dismissed: to be set when they may accept connections.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._present: set[int] = set()
        self.complete = asyncio.Event()
        self.dismissed = asyncio.Event()

    async def report(self, number: int) -> None:
        """Waits until connections may be accepted."""
        self._present.add(number)
        if len(self._present) == self._count:
            self.complete.set()
        try:
            await self.dismissed.wait()
        finally:
            self._present.discard(number)
