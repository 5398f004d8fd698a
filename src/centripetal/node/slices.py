"""Work on many things that must not hold the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLIENTS_A_SLICE = 100
"""So many clients are told in one go that a subscription is lost."""


def call_in_slices(
    schedule: Callable[[Callable[[], None]], object],
    items: list[T],
    function: Callable[[T], None],
    size: int = CLIENTS_A_SLICE,
) -> None:
    """Calls a function with each item: the first ones now, many in slices.

    Args:
        schedule: calls a function at the end of the turn, like `loop.call_soon`.
        items: emptied on the way.
        function: what to do with each.
        size: of a slice.
    """

    def go_on() -> None:
        batch = items[-size:]
        del items[-size:]
        for item in batch:
            function(item)
        if items:
            schedule(go_on)

    go_on()
