"""How a new process and the one that runs meet on a Unix socket, and the listening sockets pass from one to the other.

The new one says which version of the handover it understands (a line of JSON). The old one answers with a line of JSON that
tells of its listeners and its UDP port, and with their sockets, in portions. All this blocks, but for a bounded time.
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
from .quic_ports import QuicLegacy, QuicPorts, describe, inherit

MEETING_SECONDS = 5.0
"""Each side waits for the other's next words at most so long."""

MAX_GREETING_BYTES = 65536
SOCKETS_AT_ONCE = 128
"""The kernel passes at most 253 with one message."""


class TakeoverError(Exception):
    """The other process cannot be understood, or did not keep to what was agreed."""


def meet(path: str, quic: Place | None = None) -> tuple[socket.socket, Sockets, QuicLegacy | None]:
    """Asks the process that listens on a Unix socket for what it has.

    Args:
        path: of the Unix socket.
        quic: address and UDP port that the new one will serve.

    Returns:
        The connection to it, its listening sockets by address and port, and what it has at the UDP port, if it is the same.

    Raises:
        OSError: there is none, or it does not answer.
        TakeoverError: it refuses, or makes no sense.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(MEETING_SECONDS)
    received: list[socket.socket] = []
    try:
        connection.connect(path)
        greeting = {"version": VERSION, "pid": os.getpid(), "quic": quic}
        connection.sendall(json.dumps(greeting).encode() + b"\n")
        answer = _receive(connection, received)
        sockets: Sockets = {}
        rest = list(received)
        for place in answer["listeners"]:
            sockets[place["address"], place["port"]] = rest[: place["count"]]
            del rest[: place["count"]]
        legacy, told = None, answer.get("quic")
        if quic is not None and told is not None:
            legacy = inherit(quic, rest, told["secret"], told["tags"])
        connection.setblocking(False)
    except (ValueError, KeyError, TypeError) as error:
        _close(connection, *received)
        raise TakeoverError(f"it answered {error}") from error
    except BaseException:
        _close(connection, *received)
        raise
    return connection, sockets, legacy


def _receive(connection: socket.socket, received: list[socket.socket]) -> dict[str, Any]:
    """Returns the answer; its sockets are appended to `received`."""
    data = b""
    answer: dict[str, Any] | None = None
    while answer is None or len(received) < _count(answer):
        more, numbers, _, _ = socket.recv_fds(connection, MAX_GREETING_BYTES, SOCKETS_AT_ONCE)
        received += [socket.socket(fileno=number) for number in numbers]
        data += more
        if not more:
            raise TakeoverError("it broke off" if data else "it refused")
        if len(data) > MAX_GREETING_BYTES or len(received) > MAX_SOCKETS:
            raise TakeoverError("an answer without end")
        if answer is None and b"\n" in data:
            answer = json.loads(data)
            if not isinstance(answer, dict):
                raise TakeoverError("it answered something else than was expected")
            if "error" in answer:
                raise TakeoverError(str(answer["error"]))
    return answer


def _count(answer: Mapping[str, Any]) -> int:
    """Returns how many sockets come with an answer."""
    quic = answer.get("quic")
    return sum(int(place["count"]) for place in answer["listeners"]) + (int(quic["count"]) if quic is not None else 0)


def greet(connection: socket.socket, listeners: Mapping[Place, Sequence[int]], quic: QuicPorts | None = None) -> bool:
    """Reads who asks, and sends the sockets.

    Args:
        connection: to the new process.
        listeners: descriptors of listening sockets by address and port.
        quic: the UDP port.

    Returns:
        Whether the new one gets what there is at the UDP port: it asked for the same.

    Raises:
        OSError: it does not read.
        TakeoverError: it is of another version, or makes no sense.
    """
    connection.settimeout(MEETING_SECONDS)
    greeting = _read_greeting(connection)
    places = [
        {"address": address, "port": port, "count": len(numbers)} for (address, port), numbers in listeners.items()
    ]
    answer: dict[str, Any] = {"listeners": places}
    rest = [number for numbers in listeners.values() for number in numbers]
    gives_quic = quic is not None and greeting.get("quic") == list(quic.place)
    if quic is not None and gives_quic:
        legacy = quic.legacy()
        answer["quic"] = describe(legacy)
        rest += [sock.fileno() for sock in (*legacy.sockets, *legacy.outboxes.values())]
    message = json.dumps(answer).encode() + b"\n"
    while message or rest:
        socket.send_fds(connection, [message or b"\n"], rest[:SOCKETS_AT_ONCE])
        message, rest = b"", rest[SOCKETS_AT_ONCE:]
    connection.setblocking(False)
    return gives_quic


def _read_greeting(connection: socket.socket) -> dict[str, Any]:
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
    return dict(greeting)


def is_own(connection: socket.socket) -> bool:
    """Whether the process at the other end is the same user's, or root's."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (0, os.geteuid())


def _close(*sockets: socket.socket) -> None:
    for sock in sockets:
        sock.close()
