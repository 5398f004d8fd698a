"""The folder of a server with several processes: the engine's Unix socket, and what workers tell each other about certificates.

It goes with the last process that needs it. If all are killed at once, the next server to start removes what they left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import tempfile

import structlog

PREFIX = "centripetal-"

SOCKET = "engine"
CERTIFICATES = "certificates"

logger = structlog.get_logger("centripetal.server")


class Folder:
    """A new folder in the directory for temporary files. Make it before the processes are forked.

    While one of them lives, the folder is locked, which also keeps it from those who tidy that directory up (systemd-tmpfiles).

    Attributes:
        path: of the folder.
        socket: path of the engine's Unix socket.
        certificates: path of a directory for certificates.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix=PREFIX)
        self.socket = os.path.join(self.path, SOCKET)
        self.certificates = os.path.join(self.path, CERTIFICATES)
        self._lock = _open(self.path)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        os.mkdir(self.certificates, mode=0o700)

    @property
    def is_served(self) -> bool:
        """Whether there is a process behind the socket."""
        return _is_served(self.socket)

    def remove(self) -> None:
        """Removes the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Removes the folders of servers all of whose processes were killed at once."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    _remove_if_left(entry.path)


def _remove_if_left(path: str) -> None:
    """Removes a folder, if it is certain that it is one of ours and that nobody needs it.

    Raises:
        OSError: it is something else, or another process has locked it.
    """
    folder = _open(path)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_own = os.fstat(folder).st_uid == os.geteuid()
        is_known = set(os.listdir(folder)) == {SOCKET, CERTIFICATES}
        server = os.path.join(path, SOCKET)
        if is_own and is_known and stat.S_ISSOCK(os.lstat(server).st_mode) and not _is_served(server):
            shutil.rmtree(path)
            logger.info("leftovers_removed", path=path)
    finally:
        os.close(folder)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
