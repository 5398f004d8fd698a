"""What the processes of a server have in common at its UDP port, for QUIC, and what a successor gets of it.

Each worker has a UDP socket; the kernel gives all datagrams of one address to the same. The ids of connections tell
which worker has one, and datagrams that another got are passed on. A successor reads the same UDP sockets, and passes on to its
predecessor what belongs to connections that are still there.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from ..config import Config
from ..transports.quic_relay import SECRET_BYTES, TAG_BYTES, Relay
from .ports import Place, Ports

PASSED_ON_BYTES = 1024 * 1024
"""So much may wait for a process to take what others passed on to it, if the system allows so much."""


@dataclass(frozen=True, slots=True)
class QuicLegacy:
    """What a successor gets.

    Attributes:
        place: address and UDP port.
        sockets: that are bound there.
        secret: of all processes there, in this server and those that it took over from.
        outboxes: Unix sockets to pass datagrams on with, by tags of the processes that they are for.
    """

    place: Place
    sockets: list[socket.socket]
    secret: bytes
    outboxes: dict[bytes, socket.socket]


@dataclass(frozen=True, slots=True)
class QuicShare:
    """What one process has.

    Attributes:
        sockets: UDP sockets.
        tag: with which ids of its connections begin.
        secret: of all processes at the port.
        relay: the ways to the others, and from them.
    """

    sockets: list[socket.socket]
    tag: bytes
    secret: bytes
    relay: Relay


def quic_place_of(config: Config) -> Place | None:
    """Returns the address and UDP port of a configuration; None without HTTP/3."""
    server = config.http_server
    return (server.address, server.port) if server.http3.enabled else None


class QuicPorts:
    """The UDP sockets of a server, and the ways between its processes.

    Args:
        place: address and UDP port.
        count: how many processes serve it.
        legacy: a predecessor's, which is used again.

    Attributes:
        place: the same.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, place: Place, count: int, legacy: QuicLegacy | None = None) -> None:
        self.place = place
        inherited = {legacy.place: legacy.sockets} if legacy is not None else None
        self._ports = Ports([place], count, inherited, kind=socket.SOCK_DGRAM)
        self._secret = legacy.secret if legacy is not None else os.urandom(SECRET_BYTES)
        self._outboxes = dict(legacy.outboxes) if legacy is not None else {}
        self._inboxes: list[tuple[bytes, socket.socket]] = []
        self._given = memoryview(mmap.mmap(-1, 1))
        for _ in range(count):
            tag = os.urandom(TAG_BYTES)
            inbox, outbox = _pair()
            self._inboxes.append((tag, inbox))
            self._outboxes[tag] = outbox

    @property
    def is_given(self) -> bool:
        """Another server reads the UDP sockets now. All processes that were forked from one know."""
        return bool(self._given[0])

    def give(self) -> None:
        """Another server reads the UDP sockets from now on."""
        self._given[0] = 1

    def share_of(self, worker: int) -> QuicShare:
        """Returns what a worker has.

        Args:
            worker: from 0.
        """
        tag, inbox = self._inboxes[worker]
        others = {other: outbox for other, outbox in self._outboxes.items() if other != tag}
        return QuicShare(self._ports.share_of(worker)[self.place], tag, self._secret, Relay(inbox, others))

    def keep_share_of(self, worker: int) -> QuicShare:
        """Returns what a worker has, and closes the UDP sockets of others in this process."""
        self._ports.keep_share_of(worker)
        return self.share_of(worker)

    def legacy(self) -> QuicLegacy:
        """Returns what a successor gets. The sockets stay this server's, too."""
        living = {tag: outbox for tag, outbox in self._outboxes.items() if _is_read(outbox)}
        return QuicLegacy(self.place, self._ports.sockets[self.place], self._secret, living)


def inherit(place: Place, sockets: list[socket.socket], secret: str, tags: list[str]) -> QuicLegacy:
    """Returns what a predecessor told of.

    Args:
        place: that was asked for.
        sockets: UDP sockets, and after them an outbox for each tag.
        secret: hexadecimal.
        tags: hexadecimal.

    Raises:
        ValueError: this makes no sense.
    """
    numbers = [bytes.fromhex(tag) for tag in tags]
    key, count = bytes.fromhex(secret), len(sockets) - len(tags)
    if count < 1 or len(key) != SECRET_BYTES or any(len(tag) != TAG_BYTES for tag in numbers):
        raise ValueError("something else about QUIC than was expected")
    return QuicLegacy(place, sockets[:count], key, dict(zip(numbers, sockets[count:], strict=True)))


def describe(legacy: QuicLegacy) -> Mapping[str, object]:
    """Returns what inherit() is told, beside the sockets."""
    return {
        "count": len(legacy.sockets) + len(legacy.outboxes),
        "secret": legacy.secret.hex(),
        "tags": [tag.hex() for tag in legacy.outboxes],
    }


def _pair() -> tuple[socket.socket, socket.socket]:
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    outbox.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PASSED_ON_BYTES)
    inbox.setblocking(False)
    outbox.setblocking(False)
    return inbox, outbox


def _is_read(outbox: socket.socket) -> bool:
    """Whether there is still a process at the other end."""
    try:
        outbox.send(b"")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
