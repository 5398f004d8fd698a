"""The server under test, and tests written as coroutines of a stage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from .instance import Instance
from .stage import Stage

TEST_LIMIT_SECONDS = 60.0

Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """One server for all tests that need nothing special."""
    running = Instance()
    yield running
    running.stop()


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
def play(request: pytest.FixtureRequest, instance: Instance) -> Play:
    """Runs a coroutine function with a stage, once for each protocol."""

    def run(scene: Callable[[Stage], Awaitable[None]]) -> None:
        async def with_stage() -> None:
            async with asyncio.timeout(TEST_LIMIT_SECONDS), Stage(instance, request.param) as stage:
                await scene(stage)

        asyncio.run(with_stage())

    return run
