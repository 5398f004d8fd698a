"""The event loop that the server's processes run on: uvloop where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

try:
    import uvloop
except ImportError:  # not on Windows
    uvloop = None  # type: ignore[assignment]


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Runs a coroutine in a loop of its own until it ends; returns its result."""
    return asyncio.run(main) if uvloop is None else uvloop.run(main)
