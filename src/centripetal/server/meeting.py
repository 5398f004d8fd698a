"""How a new process and the one that runs meet on a Unix socket, and the listening sockets pass from one to the other.

The new one says which version of the handover it understands (a line of JSON). The old one answers with a line of JSON that
tells of its listeners, and with their sockets, in portions. All this blocks, but for a bounded time.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ..engines.local import VERSION
from .ports import MAX_SOCKETS, Place, Sockets

MEETING_SECONDS = 5.0
"""Each side waits for the other's next words at most so long."""

MAX_GREETING_BYTES = 65536
SOCKETS_AT_ONCE = 128
"""The kernel passes at most 253 with one message."""


class TakeoverError(Exception):
    """The other process cannot be understood, or did not keep to what was agreed."""


def meet(path: str) -> tuple[socket.socket, Sockets]:
    """Asks the process that listens on a Unix socket for what it has.

    Args:
        path: of the Unix socket.

    Returns:
        The connection to it, and its listening sockets by address and port.

    Raises:
        OSError: there is none, or it does not answer.
        TakeoverError: it refuses, or makes no sense.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(MEETING_SECONDS)
    received: list[socket.socket] = []
    try:
        connection.connect(path)
        connection.sendall(json.dumps({"version": VERSION, "pid": os.getpid()}).encode() + b"\n")
        answer = _receive(connection, received)
        sockets: Sockets = {}
        rest = list(received)
        for place in answer["listeners"]:
            sockets[place["address"], place["port"]] = rest[: place["count"]]
            del rest[: place["count"]]
        connection.setblocking(False)
    except (ValueError, KeyError, TypeError) as error:
        _close(connection, *received)
        raise TakeoverError(f"it answered {error}") from error
    except BaseException:
        _close(connection, *received)
        raise
    return connection, sockets


def _receive(connection: socket.socket, received: list[socket.socket]) -> dict[str, Any]:
    """Returns the answer; its sockets are appended to `received`."""
    data = b""
    answer: dict[str, Any] | None = None
    while answer is None or len(received) < sum(place["count"] for place in answer["listeners"]):
        more, numbers, _, _ = socket.recv_fds(connection, MAX_GREETING_BYTES, SOCKETS_AT_ONCE)
        received += [socket.socket(fileno=number) for number in numbers]
        data += more
        if not more:
            raise TakeoverError("it broke off" if data else "it refused")
        if len(data) > MAX_GREETING_BYTES or len(received) > MAX_SOCKETS:
            raise TakeoverError("an answer without end")
        if answer is None and b"\n" in data:
            answer = json.loads(data)
            if "error" in answer:
                raise TakeoverError(str(answer["error"]))
    return answer


def greet(connection: socket.socket, listeners: Mapping[Place, Sequence[int]]) -> None:
    """Reads who asks, and sends the sockets.

    Args:
        connection: to the new process.
        listeners: descriptors of listening sockets by address and port.

    Raises:
        OSError: it does not read.
        TakeoverError: it is of another version, or makes no sense.
    """
    connection.settimeout(MEETING_SECONDS)
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(MAX_GREETING_BYTES)
        if not more or len(line) > MAX_GREETING_BYTES:
            raise TakeoverError("a greeting without end")
        line += more
    greeting = json.loads(line)
    version = greeting.get("version") if isinstance(greeting, dict) else None
    if version != VERSION:
        error = f"it understands version {VERSION} of the handover, and was asked for {version}"
        connection.sendall(json.dumps({"error": error}).encode() + b"\n")
        raise TakeoverError(error)
    places = [
        {"address": address, "port": port, "count": len(numbers)} for (address, port), numbers in listeners.items()
    ]
    message = json.dumps({"listeners": places}).encode()
    rest = [number for numbers in listeners.values() for number in numbers]
    while message or rest:
        socket.send_fds(connection, [message + b"\n"], rest[:SOCKETS_AT_ONCE])
        message, rest = b"", rest[SOCKETS_AT_ONCE:]
    connection.setblocking(False)


def is_own(connection: socket.socket) -> bool:
    """Whether the process at the other end is the same user's, or root's."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (0, os.geteuid())


def _close(*sockets: socket.socket) -> None:
    for sock in sockets:
        sock.close()
