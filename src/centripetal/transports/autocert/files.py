"""Small files in a directory that several processes share."""

from __future__ import annotations

import contextlib
import os
import tempfile

from ...model.pem import MAX_PEM_BYTES

MAX_FILE_BYTES = MAX_PEM_BYTES


def read_file(directory: str, name: str) -> bytes:
    """Returns a file's content, or the first of it if it is too large; empty if it cannot be read."""
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""


def write_file(directory: str, name: str, content: bytes, *, replace: bool = True) -> None:
    """Writes a file that only its owner can read, and that others see complete or not at all.

    Args:
        directory: where.
        name: of the file.
        content: all of it.
        replace: one that is there already. Otherwise that is an error.

    Raises:
        OSError: it cannot be written, or (FileExistsError) is there already.
    """
    number, path = tempfile.mkstemp(dir=directory, prefix=".new-")  # mode 0600
    target = os.path.join(directory, name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        if replace:
            os.replace(path, target)
        else:
            _link(path, target)
    except OSError:
        remove_file(directory, os.path.basename(path))
        raise


def remove_file(directory: str, name: str) -> None:
    """Removes a file, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, name))


def _link(path: str, target: str) -> None:
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.exists(target):
            raise FileExistsError(target) from None
        os.replace(path, target)
    else:
        os.unlink(path)
