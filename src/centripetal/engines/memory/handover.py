"""Gives the node what a broker in the same process distributes, in the order in which it was distributed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from ...interfaces import BrokerError


class OrderedHandover:
    """What brokers in memory share: calls of the node that do not overtake each other."""

    def __init__(self) -> None:
        self._delivering = False
        self._pending: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def _hand_over(self, handler: Callable[..., None], *event: Any) -> None:
        """Calls the node, or queues the event when the node is being called: subscribers must see events in order."""
        if self._delivering:
            self._pending.append((handler, event))
            return
        self._delivering = True
        try:
            handler(*event)
            while self._pending:
                handler, event = self._pending.popleft()
                handler(*event)
        finally:
            self._delivering = False
            if self._pending:
                handler, event = self._pending.popleft()
                self._hand_over(handler, *event)


def refuse_unbound(*event: Any) -> NoReturn:
    """Stands in for the node until bind().

    Raises:
        BrokerError: always.
    """
    raise BrokerError("the broker is not bound to a node")
