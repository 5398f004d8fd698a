"""Turns of the event loop for work that input can make long."""

from __future__ import annotations

import asyncio
from time import perf_counter

SLICE_SECONDS = 0.002
"""For how long a loop may go on before others get their turn."""


class TimeSlice:
    """One loop's share of the event loop: `if time_slice.is_over(): await time_slice.renew()` once per round."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + SLICE_SECONDS

    def is_over(self) -> bool:
        """Whether others should get their turn now."""
        return perf_counter() > self._end

    async def renew(self) -> None:
        """Lets everything that is ready run once, then starts the next slice."""
        await asyncio.sleep(0)
        self._end = perf_counter() + SLICE_SECONDS
