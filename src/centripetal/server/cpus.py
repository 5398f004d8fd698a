"""How many CPUs this process may use: fewer than there are, where a container or a service has a quota."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MEMBERSHIP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def usable_cpus(membership: Path = MEMBERSHIP, groups: Path = GROUPS) -> int:
    """Returns how many CPUs this process may use, at least 1; a part of one counts as one.

    Args:
        membership: file that says which control groups this process belongs to (Linux).
        groups: where control groups are mounted, of either version.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min([cpus, *map(_quota, _folders(membership, groups))]), 1)


def _folders(membership: Path, groups: Path) -> Iterator[Path]:
    """Yields the folders of all control groups that this process is in."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = PurePosixPath(path.lstrip("/"))
            for place in (group, *group.parents):  # a container may see its own group as the uppermost
                yield (groups / "cpu" if controllers else groups) / place


def _quota(folder: Path) -> int:
    """Returns the quota of a control group in CPUs, rounded up; a number without meaning if it has none."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                return -(-int(quota) // int(period))
    return sys.maxsize
