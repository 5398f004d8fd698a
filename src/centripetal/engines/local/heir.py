"""A process that takes up what another one keeps in memory."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..memory import MemoryEngine, Record


class HeirError(Exception):
    """The state could not be taken up."""


class HeirMethods(Protocol):
    """What the one that gives its state away asks of the heir."""

    async def restore(self, records: list[Record]) -> None:
        """Takes up records."""

    async def begin(self) -> None:
        """All is there; returns when the heir accepts connections."""


class Heir:
    """Takes records up into an engine that is empty; implements HeirMethods.

    Args:
        engine: not started yet.

    Attributes:
        complete: set when all is there.
        accepting: to be set when connections are accepted.
    """

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self.complete = asyncio.Event()
        self.accepting = asyncio.Event()

    async def restore(self, records: list[Record]) -> None:
        """Takes up records."""
        for record in records:
            self._engine.restore(record)

    async def begin(self) -> None:
        """Waits until connections are accepted."""
        self.complete.set()
        await self.accepting.wait()
