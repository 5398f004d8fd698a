"""Lets clients come and go over every transport, well behaved and not, and looks for what is left behind in the server.

A round is many connections that live at once and end in one of many ways. When they have gone, the server must have no
client, no channel, no task, no open file and no object of its own more than before, without any garbage collection; after
the rounds its memory must not have grown beyond what the first ones made of it. gRPC has rounds of its own, with another
server: its library frees memory when it likes. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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

GROWTH_BLOCKS = 0.75
"""Pieces of memory a connection; some counters fill up to their bounds meanwhile."""

GROWTH_BYTES = 256
"""Bytes of `malloc` a connection."""

GROWTH_RESIDENT_BYTES = 24 * 1024 * 1024
"""A coarse bound for gRPC, whose buffers come and go by megabytes."""

Manner = Callable[[Ground, str], Awaitable[object]]

@dataclass(frozen=True)
class Part:
    """Rounds with a server of their own.

    Attributes:
        name: what is shown.
        manners: in each round.
        rare_manners: in every so many rounds.
        exact: whether the memory is a matter of the server alone.
    """

    name: str
    manners: tuple[Manner, ...]
    rare_manners: tuple[Manner, ...] = ()
    exact: bool = True


PARTS = (
    Part(
        "WebSocket, HTTP streams and requests",
        (*sockets.MANNERS, *streams.MANNERS, *requests.MANNERS),
        (*sockets.RARE_MANNERS, *streams.RARE_MANNERS),
    ),
    Part("gRPC", calls.MANNERS, exact=False),
)


async def play(part: Part, ground: Ground, number: int) -> list[str]:
    """Plays a round; returns what went wrong with clients."""
    manners = [manner for manner in part.manners for _ in range(EACH)]
    if number % RARE_ROUNDS == 0:
        manners += part.rare_manners
    ground.chance.shuffle(manners)
    results = await asyncio.gather(
        *(manner(ground, f"{number}-{n}") for n, manner in enumerate(manners)), return_exceptions=True
    )
    return [
        f"round {number}: {manner.__module__}.{manner.__name__}: {error!r}"
        for manner, error in zip(manners, results, strict=True)
        if isinstance(error, BaseException)
    ]


async def churn(part: Part, instance: Instance) -> list[str]:
    """Plays all rounds; returns what went wrong."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        ground = Ground(instance, session)
        sights: list[Sight] = []
        for number in range(ROUNDS):
            if problems := await play(part, ground, number):
                return problems[:10]
            before = sights[WARM_UP_ROUNDS - 1] if number >= WARM_UP_ROUNDS else None
            sights.append(await ground.look_when_quiet(before))
            if before and (left := left_behind(before, sights[-1])):
                return [f"left behind after round {number}: {what}" for what in left]
        await ground.grpc.close()
    return judge(part, sights)


def judge(part: Part, sights: list[Sight]) -> list[str]:
    """Prints how the memory went; returns what is wrong with that."""
    first, last = sights[WARM_UP_ROUNDS - 1], sights[-1]
    counted = len(part.manners) * EACH * (ROUNDS - WARM_UP_ROUNDS)
    resident = [sight.resident_bytes for sight in sights]
    print("resident MiB:", " ".join(f"{size / 1048576:.1f}" for size in resident))
    print("KiB of malloc:", " ".join(f"{sight.bytes / 1024:.0f}" for sight in sights))
    print("blocks of memory:", " ".join(str(sight.blocks) for sight in sights))
    print(f"{counted} connections after the first rounds; {last.tasks} tasks, {last.open_files} open files at the end")
    grown = statistics.median(resident[-WARM_UP_ROUNDS:]) - max(resident[:WARM_UP_ROUNDS])
    if not part.exact:
        return [f"memory grew by {grown / 1048576:.1f} MiB"] if grown > GROWTH_RESIDENT_BYTES else []
    problems: list[str] = []
    if (blocks := (last.blocks - first.blocks) / counted) > GROWTH_BLOCKS:
        problems.append(f"{blocks:.2f} blocks of memory a connection are left behind")
    if (allocated := (last.bytes - first.bytes) / counted) > GROWTH_BYTES:
        problems.append(f"{allocated:.0f} bytes of malloc a connection are left behind")
    return problems


def run(part: Part) -> list[str]:
    """Plays a part with a server of its own; returns what went wrong."""
    print(part.name)
    instance = start()
    try:
        problems = asyncio.run(churn(part, instance))
        log = instance.log()
    finally:
        status = instance.stop()
    if "Traceback" in log or '"level":"error"' in log:
        problems.append(f"the server logged an error:\n{log[:4000]}")
    if status != 0:
        problems.append(f"the server ended with {status}")
    for problem in problems:
        print("FAIL", problem)
    return problems


def main() -> int:
    """Returns the exit status."""
    failed = sum(bool(run(part)) for part in PARTS)
    print(f"{len(PARTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
