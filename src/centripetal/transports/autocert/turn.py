"""Whose turn it is to order certificates, among the processes that share a directory."""

from __future__ import annotations

import contextlib
import os

import structlog

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "acme_lock"
"""Name of the file that is locked. No host is called so: it has no dot."""

_log = structlog.get_logger("centripetal.tls")


class Turn:
    """A lock that one process has at a time. The kernel takes it back from a process that dies.

    Args:
        directories: all processes that share one of them take turns; a process without any has its turn always. One
            where files cannot be locked is as none.

    Attributes:
        is_ours: this process has it.
    """

    def __init__(self, *directories: str) -> None:
        self._paths = [os.path.join(directory, LOCK) for directory in dict.fromkeys(directories) if directory]
        self._files: list[int] = []
        self.is_ours = False

    def take(self) -> bool:
        """Takes the turn, unless another process has it; returns whether it is ours."""
        if fcntl is not None:
            for path in list(self._paths):
                if not self._lock(path):
                    self.leave()
                    return False
        self.is_ours = True
        return True

    def leave(self) -> None:
        """Lets others have their turn. Nothing happens if it is not ours."""
        for file in self._files:
            os.close(file)
        self._files.clear()
        self.is_ours = False

    def _lock(self, path: str) -> bool:
        file = -1
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError as error:
            with contextlib.suppress(OSError):
                os.close(file)
            self._paths.remove(path)
            _log.warning("acme_lock_unusable", path=path, error=error.strerror or str(error))
            return True
        self._files.append(file)
        return True
