"""The file with the process id, while one server takes over from another."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from centripetal.server.pid_file import remove_pid_file, write_pid_file

ABOUT_TO_WRITE = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_process_writes_its_id_and_removes_it_again(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("1234567890123")
    write_pid_file(str(path))
    assert path.read_text() == str(os.getpid())
    remove_pid_file(str(path))
    assert not path.exists()
    remove_pid_file(str(path))


@pytest.mark.parametrize("text", ["1", "", "no number"])
def test_what_others_wrote_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pid"
    path.write_text(text)
    remove_pid_file(str(path))
    assert path.read_text() == text


def test_a_file_that_another_process_is_about_to_write_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    write_pid_file(str(path))
    with subprocess.Popen(
        [sys.executable, "-c", ABOUT_TO_WRITE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        remove_pid_file(str(path))
        assert path.read_text() == str(os.getpid())
        other.communicate()
    remove_pid_file(str(path))
    assert not path.exists()


def test_a_file_that_is_removed_before_it_could_be_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pid"
    path.write_text(str(os.getppid()))
    lock, removals = fcntl.lockf, [path]

    def wait_for_lock(*arguments: Any) -> None:
        if removals:
            removals.pop().unlink()
        lock(*arguments)

    monkeypatch.setattr(fcntl, "lockf", wait_for_lock)
    write_pid_file(str(path))
    assert path.read_text() == str(os.getpid())


def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    path = tmp_path / "pid"
    write_pid_file(str(path))
    assert path.read_text() == str(os.getpid())
    remove_pid_file(str(path))
    assert not path.exists()


def test_a_device_can_stand_for_no_file() -> None:
    write_pid_file(os.devnull)
    remove_pid_file(os.devnull)
    assert os.path.exists(os.devnull)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_pid_file(str(tmp_path / "none" / "pid"))
