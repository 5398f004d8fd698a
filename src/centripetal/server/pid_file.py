"""The file with the server's process id (`pid_file`), which a successor writes again while its predecessor leaves.

Both lock it, so that what is removed is what was read. The lock is a record lock: other programs use the other kind, if any, and
hold it for long.
"""

from __future__ import annotations

import contextlib
import fcntl
import os


def write_pid_file(path: str) -> None:
    """Writes the id of this process.

    Raises:
        OSError: the file cannot be written.
    """
    written = False
    while not written:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(file, fcntl.LOCK_EX)
            if _is_at(path, file):
                if os.fstat(file).st_size:
                    os.truncate(file, 0)
                os.write(file, str(os.getpid()).encode())
                written = True
        finally:
            os.close(file)


def remove_pid_file(path: str) -> None:
    """Removes the file, unless another process has written it or is about to; does nothing if it cannot."""
    with contextlib.suppress(OSError, ValueError):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) and int(os.read(file, 32)) == os.getpid() and _is_at(path, file):
                os.unlink(path)
        finally:
            os.close(file)


def _lock(file: int, operation: int) -> bool:
    """Returns whether no other process has the file locked; on a file system without locks none has."""
    try:
        fcntl.lockf(file, operation)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _is_at(path: str, file: int) -> bool:
    """Whether a file that is open has not been removed by its writer before us."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
