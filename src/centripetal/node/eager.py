"""Runs a coroutine at once as far as it goes, and makes it a task only if it has to wait.

Everything that an in-memory engine does is a coroutine that never suspends: it must cost no task and no turn of the
event loop (design: nothing waits that need not wait).
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, T], yielded: Any) -> Generator[Any, Any, T]:
    """Goes on with a coroutine that has yielded its first future already."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            value = yield yielded
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - cancellation, too, is for the coroutine to see
            step, argument = coroutine.throw, error
        else:
            step, argument = coroutine.send, value
        try:
            yielded = step(argument)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            argument = None  # an error refers to this frame by its traceback: a cycle, if the frame kept it


async def _finish(coroutine: Coroutine[Any, Any, T], yielded: Any) -> T:
    return await _resume(coroutine, yielded)


def _close(coroutine: Coroutine[Any, Any, Any], _: object) -> None:
    """Ends a coroutine whose task was cancelled before its first turn; one that is compiled does not end by being freed."""
    coroutine.close()


def run_eagerly(coroutine: Coroutine[Any, Any, T]) -> tuple[bool, T | asyncio.Task[T]]:
    """Runs a coroutine until it ends or has to wait.

    Args:
        coroutine: not started yet. Before its first wait it must not need the current task (no asyncio.timeout).

    Returns:
        (True, its result), or (False, a task that goes on with it).

    Raises:
        Whatever it raises before it waits.
    """
    try:
        yielded = coroutine.send(None)
    except StopIteration as stop:
        return True, stop.value
    task = asyncio.get_running_loop().create_task(_finish(coroutine, yielded))
    task.add_done_callback(partial(_close, coroutine))
    return False, task
