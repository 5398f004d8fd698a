"""How many CPUs are usable where a control group has a quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from centripetal.config import Config
from centripetal.server import workers
from centripetal.server.cpus import usable_cpus
from centripetal.server.workers import tell_workers


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def count(folder: Path, membership: str, **files: str) -> int:
    """Returns how many CPUs are usable.

    Args:
        folder: for the files.
        membership: what the process belongs to.
        files: content by path, with __ for a slash and cpu_ for `cpu.`.
    """
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        path = folder / "groups" / name.replace("__", "/").replace("cpu_", "cpu.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return usable_cpus(folder / "cgroup", folder / "groups")


def test_without_control_groups_those_of_the_affinity_are(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "nothing", tmp_path) == 8
    assert count(tmp_path, "0::/\n") == 8


@pytest.mark.parametrize(
    ("quota", "usable"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("max 100000", 8),
        ("", 8),
        ("0 0", 8),
        ("x 1", 8),
    ],
)
def test_a_quota_counts(tmp_path: Path, quota: str, usable: int) -> None:
    assert count(tmp_path, "0::/\n", cpu_max=quota) == usable


def test_the_smallest_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {"a__cpu_max": "300000 100000", "a__b__cpu_max": "500000 100000"}
    assert count(tmp_path, "0::/a/b\n", **files) == 3


def test_a_container_that_sees_its_own_group_only_has_its_quota(tmp_path: Path) -> None:
    membership = "5:cpu,cpuacct:/docker/0123\n1:cpuset:/x\n0::/\n"
    files = {"cpu__cpu_cfs_quota_us": "250000", "cpu__cpu_cfs_period_us": "100000"}
    assert count(tmp_path, membership, **files) == 3
    assert count(tmp_path, membership, cpu__cpu_cfs_quota_us="-1") == 8


def test_the_log_says_how_many_workers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cpus", lambda: 3)
    with capture_logs() as log:
        for text in ("1", "auto", "3", "4"):
            tell_workers(Config(workers=text))
    assert [(entry["log_level"], entry["event"], entry["count"], entry["cpus"]) for entry in log] == [
        ("info", "workers", 3, 3),
        ("info", "workers", 3, 3),
        ("info", "workers", 4, 3),
        ("warning", "more_workers_than_cpus", 4, 3),
    ]
