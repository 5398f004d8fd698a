"""Who has subscribed on this node, and how what is published gets into their outboxes."""

from __future__ import annotations

import asyncio
from typing import Any

from ..fanout.channel import Channel
from ..fanout.hub import Hub
from ..fanout.keyed import KeyedDelivery
from ..fanout.outbox import Flusher, Outbox
from ..model.errors import DISCONNECT_INAPPROPRIATE_PROTOCOL
from .counters import Counters
from .delivery import encode_publication
from .slices import call_in_slices


class Subscribers:
    """The subscribers of channels and of keys.

    Args:
        counters: count what is sent.
        loop: the event loop; long work goes on in its next turns.

    Attributes:
        flusher: writes outboxes once a turn.
        hub: subscribers of channels.
        keyed: delivers to subscribers of keys.
    """

    def __init__(self, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        schedule = self._schedule = loop.call_soon
        self._counters = counters
        self.flusher = Flusher(schedule)
        self.hub = Hub(self.flusher, encode_publication, schedule, refuse_encoding, self._count)
        self.keyed = KeyedDelivery(self.flusher, encode_publication, schedule, refuse_encoding, self._count)

    def _count(self, encoding: Any, size: int, count: int) -> None:
        self._counters.add_pushes(encoding, "push_publication", size, count)

    def lose_position(self, channel: Channel) -> None:
        """Tells the positioned subscribers of a channel that continuity is lost: the first at once, many in slices."""
        lost = [outbox for group in channel.take_positioned() for outbox in group]
        call_in_slices(self._schedule, lost, lambda outbox: outbox.lose_position(channel.name))  # type: ignore[attr-defined]


def refuse_encoding(outbox: Outbox) -> None:
    """Ends a connection whose encoding cannot carry a publication (not JSON, to a JSON client)."""
    outbox.disconnect(DISCONNECT_INAPPROPRIATE_PROTOCOL)  # type: ignore[attr-defined]
