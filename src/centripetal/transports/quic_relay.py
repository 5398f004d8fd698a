"""Datagrams that reached the wrong process are passed on to the right one, over Unix sockets.

The kernel gives all datagrams of one address to the same of several processes. So few are for another one: after the client's
address has changed, or while a predecessor has its own connections still. They go once more through the kernel, and at most once:
what was passed on is not passed on again.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

TAG_BYTES = 4
"""Of the process that has a connection, at the beginning of the connection's ids."""

SECRET_BYTES = 32
"""From which all processes at a port make what they tell clients."""

_SLICE_SECONDS = 0.004
_MAX_BYTES = 65536 + 256  # a datagram and its address

Deliver = Callable[[bytes, Any], None]


class Relay:
    """The ways from a process to others at the same port, and from them.

    Args:
        inbox: a Unix datagram socket from which comes what others got; None if there are none.
        outboxes: Unix datagram sockets by the tags of the others.
    """

    def __init__(self, inbox: socket.socket | None = None, outboxes: Mapping[bytes, socket.socket] | None = None) -> None:
        self._inbox = inbox
        self._outboxes: dict[bytes, socket.socket | None] = dict(outboxes or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deliver: Deliver

    def start(self, deliver: Deliver) -> None:
        """Begins to take what others pass on.

        Args:
            deliver: is called with each datagram and its address.
        """
        self._deliver = deliver
        if self._inbox is not None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._inbox.fileno(), self._read)

    def close(self) -> None:
        """Takes no more."""
        if self._loop is not None and self._inbox is not None:
            self._loop.remove_reader(self._inbox.fileno())
            self._loop = None

    def knows(self, connection_id: bytes) -> bool:
        """Whether an id is one of another process, be it gone or not."""
        return connection_id[:TAG_BYTES] in self._outboxes

    def pass_on(self, connection_id: bytes, data: bytes, address: Any) -> bool:
        """Passes a datagram on to the process that its connection is at.

        Args:
            connection_id: in it.
            data: the datagram.
            address: where it came from.

        Returns:
            Whether there is such a process. If it does not keep up the datagram is lost, as on any network.
        """
        tag = connection_id[:TAG_BYTES]
        outbox = self._outboxes.get(tag)
        if outbox is None:
            return False
        try:
            outbox.send(msgspec.msgpack.encode((address, data)))
        except ConnectionError:  # it has ended
            self._outboxes[tag] = None
            return False
        except OSError:  # no room
            pass
        return True

    def _read(self) -> None:
        assert self._inbox is not None
        started = time.perf_counter()
        while time.perf_counter() - started < _SLICE_SECONDS:
            try:
                message = self._inbox.recv(_MAX_BYTES)
            except OSError:
                return
            if message:
                address, data = msgspec.msgpack.decode(message)
                self._deliver(data, tuple(address))
