"""When the supervisor starts a process anew."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from centripetal.config import Config, LoadedConfig
from centripetal.server.workers import YOUNG_SECONDS, Child, Supervisor


def lives(child: Child, started_at: float, seconds: float) -> float:
    """Returns when it may be started again."""
    child.begin(started_at)
    child.pid = 1
    ended_at = started_at + seconds
    child.end(ended_at)
    assert child.pid == 0
    return ended_at + child.pause(ended_at)


def test_a_process_that_dies_is_started_anew_at_once_however_young_it_is() -> None:
    assert lives(Child(1, "worker 0", lambda: 0), 5.0, 100.0) == 105.0
    assert lives(Child(1, "worker 0", lambda: 0), 5.0, 0.01) == 5.01


def test_one_that_dies_young_again_and_again_is_started_no_more_often_than_its_youth_lasts() -> None:
    child, now = Child(1, "worker 0", lambda: 0), 5.0
    starts = []
    for _ in range(5):
        starts.append(now)
        now = lives(child, now, 0.25)
    assert starts == [5.0, 5.25] + [5.25 + YOUNG_SECONDS * number for number in (1, 2, 3)]


def test_one_that_grew_old_has_its_first_start_at_once_again() -> None:
    child = Child(1, "worker 0", lambda: 0)
    for started_at in (0.0, 1.0, 2.0):
        lives(child, started_at, 0.25)
    assert lives(child, 3.0, YOUNG_SECONDS) == 3.0 + YOUNG_SECONDS
    assert lives(child, 10.0, 0.25) == 10.25
    assert lives(child, 10.25, 0.25) == pytest.approx(10.25 + YOUNG_SECONDS)


def test_a_fork_that_fails_later_does_not_end_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "fork", fail)
    loaded = LoadedConfig(config=Config(workers="2"))
    supervisor, child = Supervisor(loaded, lambda: loaded, lambda loaded, worker: 0), Child(1, "worker 0", lambda: 0)
    with pytest.raises(OSError, match="temporarily"):
        supervisor._start(child)
    for number in (2, 3):
        supervisor._start(child)
        assert (child.pid, child.starts) == (0, number)
    assert child.pause(child.started_at) == YOUNG_SECONDS
