"""Feeds everything that parses with mutated input for a bounded time: FUZZ_SECONDS (60), from FUZZ_SEED (random).

A finding is an exception that is not documented, an input that takes too long, or memory that grows. The report names
the target, the seed and the input, so that a test can be made of it. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz.mutation import mutate
from fuzz.targets import Target, make_targets

SLOW_SECONDS = 1.0
GROWTH_BYTES = 32 * 1024 * 1024
WARM_UP = 0.3


def resident_bytes() -> int:
    """Returns the resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def attack(target: Target, seconds: float, chance: random.Random) -> tuple[int, str]:
    """Feeds one target for some time; returns how many inputs it took and the first finding, empty without one."""
    count = 0
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        data = mutate(target.seeds, chance)
        count += 1
        begun = time.thread_time()  # of this thread's work: others may have the processor meanwhile
        try:
            target.feed(data, chance)
        except target.documented:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            return count, f"{traceback.format_exc()}input: {data!r}"
        if (took := time.thread_time() - begun) > SLOW_SECONDS:
            return count, f"took {took:.2f} s\ninput: {data!r}"
    return count, ""


async def run(seconds: float, seed: int) -> int:
    """Attacks all targets, twice round; returns the number of findings."""
    chance = random.Random(seed)
    targets = make_targets()
    findings: dict[str, str] = {}
    counts = dict.fromkeys((target.name for target in targets), 0)
    before = 0
    for part in (WARM_UP, 1 - WARM_UP):
        for target in targets:
            if target.name in findings:
                continue
            count, finding = attack(target, seconds * part / len(targets), chance)
            counts[target.name] += count
            if finding:
                findings[target.name] = finding
            await asyncio.sleep(0)
        before = before or resident_bytes()
    grown = resident_bytes() - before
    for target in targets:
        print(f"{'FAIL' if target.name in findings else 'ok  '} {target.name}: {counts[target.name]} inputs")
    for name, finding in findings.items():
        print(f"\n{name} (FUZZ_SEED={seed})\n{finding}")
    print(f"{'FAIL' if grown > GROWTH_BYTES else 'ok  '} memory: {grown / 1048576:+.1f} MiB after warming up")
    failed = len(findings) + (grown > GROWTH_BYTES)
    print(f"{len(targets) + 1 - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """Returns the exit status."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}, {seconds:g} s")
    return 1 if asyncio.run(run(seconds, seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
