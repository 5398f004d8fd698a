"""Lets clients come and go over every transport, well behaved and not, and looks for what is left behind in the server.

A round is many connections that live at once and end in one of many ways. When they have gone, the server must have no
client, no channel, no task, no open file and no object of its own more than before, without any garbage collection; after
the rounds its memory must not have grown beyond what the first ones made of it. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent))

from churn import calls, requests, sockets, streams
from churn.ground import Ground, Sight, left_behind, start
from clients.instance import Instance

ROUNDS = 20
WARM_UP_ROUNDS = 5
EACH = 8
"""So many connections of each manner are in a round."""

RARE_ROUNDS = 5
"""Manners that take long are in every so many rounds."""

GROWTH_BYTES = 4 * 1024 * 1024
"""What the memory of the process varies by, measured over five times as many rounds."""

GROWTH_BLOCKS = 0.75
"""Pieces of memory a connection; some counters fill up to their bounds meanwhile."""

Manner = Callable[[Ground, str], Awaitable[object]]

MANNERS: tuple[Manner, ...] = (*sockets.MANNERS, *streams.MANNERS, *requests.MANNERS, *calls.MANNERS)
RARE_MANNERS: tuple[Manner, ...] = (*sockets.RARE_MANNERS, *streams.RARE_MANNERS)


async def play(ground: Ground, number: int) -> list[str]:
    """Plays a round; returns what went wrong with clients."""
    manners = [manner for manner in MANNERS for _ in range(EACH)]
    if number % RARE_ROUNDS == 0:
        manners += RARE_MANNERS
    ground.chance.shuffle(manners)
    results = await asyncio.gather(
        *(manner(ground, f"{number}-{n}") for n, manner in enumerate(manners)), return_exceptions=True
    )
    return [
        f"round {number}: {manner.__module__}.{manner.__name__}: {error!r}"
        for manner, error in zip(manners, results, strict=True)
        if isinstance(error, BaseException)
    ]


async def churn(instance: Instance) -> list[str]:
    """Plays all rounds; returns what went wrong."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        ground = Ground(instance, session)
        sights: list[Sight] = []
        for number in range(ROUNDS):
            if problems := await play(ground, number):
                return problems[:10]
            before = sights[WARM_UP_ROUNDS - 1] if number >= WARM_UP_ROUNDS else None
            sights.append(await ground.look_when_quiet(before))
            if before and (left := left_behind(before, sights[-1])):
                return [f"left behind after round {number}: {what}" for what in left]
        await ground.grpc.close()
    return judge(sights)


def judge(sights: list[Sight]) -> list[str]:
    """Prints how the memory went; returns what is wrong with that."""
    sizes = [sight.resident_bytes for sight in sights]
    first, last = sights[WARM_UP_ROUNDS - 1], sights[-1]
    counted = len(MANNERS) * EACH * (ROUNDS - WARM_UP_ROUNDS)
    print("resident MiB:", " ".join(f"{size / 1048576:.1f}" for size in sizes))
    print("blocks of memory:", " ".join(str(sight.blocks) for sight in sights))
    print(f"{counted} connections after the first rounds; {last.tasks} tasks, {last.open_files} open files at the end")
    problems: list[str] = []
    grown = statistics.median(sizes[-WARM_UP_ROUNDS:]) - max(sizes[:WARM_UP_ROUNDS])
    if grown > GROWTH_BYTES:
        problems.append(f"memory grew by {grown / 1048576:.1f} MiB after the first rounds")
    blocks = (last.blocks - first.blocks) / counted
    if blocks > GROWTH_BLOCKS:
        problems.append(f"{blocks:.2f} blocks of memory a connection are left behind")
    return problems


def main() -> int:
    """Returns the exit status."""
    instance = start()
    try:
        problems = asyncio.run(churn(instance))
        log = instance.log()
    finally:
        status = instance.stop()
    if "Traceback" in log or '"level":"error"' in log:
        problems.append(f"the server logged an error:\n{log[:4000]}")
    if status != 0:
        problems.append(f"the server ended with {status}")
    for problem in problems:
        print("FAIL", problem)
    print(f"{0 if problems else 1} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
