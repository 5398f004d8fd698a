"""The folder of a server: nobody else removes it while it is in use, and the next server does when it was left behind."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from centripetal.server.folder import Folder, sweep


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files are; paths of Unix sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="ct") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def listen(folder: Folder) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(folder.socket)
    server.listen()
    return server


def leave(folder: Folder) -> None:
    """What is left of a server whose processes have been killed."""
    Path(folder.certificates, "example.com").write_text("a secret")
    os.close(folder._lock)


def test_what_was_left_behind_is_removed_with_all_secrets(directory: Path) -> None:
    folder = Folder()
    listen(folder).close()
    leave(folder)
    sweep()
    assert not list(directory.iterdir())


def test_a_folder_whose_engine_is_being_started_anew_stays(directory: Path) -> None:
    folder = Folder()
    listen(folder).close()
    sweep()
    assert os.path.exists(folder.socket)
    assert not folder.is_served
    os.close(folder._lock)


def test_a_folder_that_a_forked_process_still_has_stays(directory: Path) -> None:
    folder = Folder()
    listen(folder).close()
    inherited = os.dup(folder._lock)  # it is of the same open file, as after a fork
    leave(folder)
    sweep()
    assert os.path.exists(folder.socket)
    os.close(inherited)
    sweep()
    assert not os.path.exists(folder.path)


def test_a_folder_with_somebody_behind_its_socket_stays(directory: Path) -> None:
    folder = Folder()
    with listen(folder):
        leave(folder)
        assert folder.is_served
        sweep()
        assert os.path.exists(folder.certificates)


def test_what_is_not_certainly_a_servers_folder_stays(directory: Path) -> None:
    empty, other, text = (directory / f"centripetal-{name}" for name in ("empty", "other", "text"))
    empty.mkdir()
    (other / "certificates").mkdir(parents=True)
    (other / "engine").write_text("not a socket")
    text.write_text("not a directory")
    folder = Folder()
    listen(folder).close()
    leave(folder)
    home = Path(folder.path).rename(directory / "elsewhere")
    link = directory / "centripetal-link"
    link.symlink_to(home)
    second = Folder()
    listen(second).close()
    Path(second.path, "more").write_text("")
    leave(second)
    before = set(directory.rglob("*"))
    sweep()
    assert set(directory.rglob("*")) == before
    assert {empty, other, text, link, home / "engine", Path(second.path, "more")} <= before


def test_a_directory_that_cannot_be_read_is_no_obstacle(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(directory / "nothing"))
    sweep()
