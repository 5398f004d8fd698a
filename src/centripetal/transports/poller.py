"""Which connections can be read or written: one epoll set for all connections of a listener.

The event loop sees the set as one descriptor. So a connection costs the loop no object and no memory, and its readiness is a
pair of numbers.
"""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

EVENTS_A_TURN = 256
"""So many ready connections are served before the event loop's other work has its turn."""

READABLE = 0x001
WRITABLE = 0x004
"""EPOLLIN and EPOLLOUT."""

IS_SUPPORTED = hasattr(select, "epoll")
"""Whether the operating system has epoll, as Linux has."""


class Pollable(Protocol):
    """What waits for its descriptor."""

    def ready(self, events: int) -> None:
        """The descriptor is ready; must not raise.

        Args:
            events: those of READABLE and WRITABLE that were asked for, and perhaps others that say that the peer is gone.
        """


class Poller:
    """Calls those whose descriptors are ready, as often as they stay ready (level-triggered).

    Args:
        loop: on which it does so.

    Attributes:
        loop: the same.
    """

    __slots__ = ("_closing", "_count", "_epoll", "_pollables", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._pollables: list[Pollable | None] = [None] * 64  # by descriptor
        self._count = 0
        self._closing = False
        loop.add_reader(self._epoll.fileno(), self._poll)

    def add(self, descriptor: int, pollable: Pollable) -> None:
        """Waits until a descriptor is readable."""
        pollables = self._pollables
        if descriptor >= len(pollables):
            pollables.extend([None] * (descriptor + 1))
        pollables[descriptor] = pollable
        self._count += 1
        self._epoll.register(descriptor, READABLE)

    def change(self, descriptor: int, before: int, events: int) -> None:
        """Waits for other events of a descriptor that was added.

        Args:
            descriptor: whose.
            before: what was waited for until now.
            events: READABLE, WRITABLE, both or 0. With 0 not even the end of the connection is noticed.
        """
        if not events:
            self._epoll.unregister(descriptor)
        elif before:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)

    def discard(self, descriptor: int) -> None:
        """Forgets a descriptor that is closed next, which is when the kernel forgets it."""
        self._pollables[descriptor] = None
        self._count -= 1
        self._end_if_done()

    def close(self) -> None:
        """Ends with the last descriptor."""
        if not self._closing:
            self._closing = True
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._closing and not self._count:
            self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _poll(self) -> None:
        pollables = self._pollables
        for descriptor, events in self._epoll.poll(0, EVENTS_A_TURN):
            pollable = pollables[descriptor]
            if pollable is not None:
                pollable.ready(events)
