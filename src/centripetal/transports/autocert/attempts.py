"""What came of the orders for each host, for all processes of a server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import structlog

from .files import MAX_FILE_BYTES, read_file, write_file

FILE = "acme_attempts"

_log = structlog.get_logger("centripetal.tls")


class Attempt(msgspec.Struct, frozen=True):
    """What came of the last order for a host.

    Attributes:
        failures: in a row.
        due: Unix seconds; nobody orders earlier.
    """

    failures: int = 0
    due: float = 0.0


class Attempts:
    """The attempts of all processes of a server; with a directory, in a file. Only who has the turn may use it.

    Args:
        directory: of the server, empty for a server of one process.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._by_host: dict[str, Attempt] = {}

    def read(self) -> None:
        """Finds out what other processes have noted."""
        if self._directory:
            content = read_file(self._directory, FILE)
            try:
                self._by_host = msgspec.json.decode(content, type=dict[str, Attempt]) if content else {}
            except msgspec.DecodeError as error:
                _log.warning("acme_attempts_ignored", error=str(error))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_host)

    def get(self, host: str) -> Attempt | None:
        """Returns what came of the last order for a host, None if there was none."""
        return self._by_host.get(host)

    def note(self, host: str, failures: int, due: float) -> None:
        """Notes what came of an order; see Attempt."""
        self._by_host[host] = Attempt(failures, due)
        self._write()

    def forget(self, host: str) -> None:
        """Forgets a host."""
        if self._by_host.pop(host, None) is not None:
            self._write()

    def _write(self) -> None:
        if not self._directory:
            return
        content = msgspec.json.encode(self._by_host)
        try:
            if len(content) > MAX_FILE_BYTES:
                raise OSError(f"more than {MAX_FILE_BYTES} bytes")
            write_file(self._directory, FILE, content)
        except OSError as error:
            _log.warning("acme_attempts_not_kept", path=os.path.join(self._directory, FILE), error=str(error))
