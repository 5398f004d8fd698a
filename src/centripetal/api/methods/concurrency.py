"""Runs many small operations of one call at once, without a task for those that need not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ...node.eager import run_eagerly
from ..time_slice import TimeSlice

T = TypeVar("T")
R = TypeVar("R")

MAX_CONCURRENT = 1024
"""How many operations of one call wait at the same time (batch with `parallel`, broadcast)."""


async def run_together(
    items: Sequence[T],
    operation: Callable[[T], R | Coroutine[Any, Any, R]],
    max_concurrent: int = MAX_CONCURRENT,
) -> list[R]:
    """Runs an operation on every item and returns the results in their order.

    Operations start in order. With an engine in memory each ends before the next starts.

    Args:
        items: what to run it on.
        operation: does not raise; returns its result, or a coroutine that waits for it.
        max_concurrent: how many may wait at the same time.
    """
    results: list[Any] = [None] * len(items)
    places = asyncio.Semaphore(max_concurrent - 1)  # the one that waits for a place is started already
    waiting: set[asyncio.Task[R]] = set()
    time_slice = TimeSlice()

    def finish(position: int, task: asyncio.Task[R]) -> None:
        waiting.discard(task)
        places.release()
        if not task.cancelled():
            results[position] = task.result()

    try:
        for position, item in enumerate(items):
            outcome: Any = operation(item)
            ended = True
            if hasattr(outcome, "send"):
                ended, outcome = run_eagerly(outcome)
            if ended:
                results[position] = outcome
            else:
                task: asyncio.Task[R] = outcome
                waiting.add(task)
                task.add_done_callback(lambda task, position=position: finish(position, task))  # type: ignore[misc]
                await places.acquire()
            if time_slice.is_over():
                await time_slice.renew()
        if waiting:
            await asyncio.wait(waiting.copy())
    except asyncio.CancelledError:
        for task in waiting:
            task.cancel()
        raise
    return results
