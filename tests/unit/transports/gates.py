"""Gates that tests open and close."""

from __future__ import annotations

from typing import Any, cast

from centripetal.transports.gate import Gate


class StillLoop:
    """An event loop whose turn does not end."""

    def time(self) -> float:
        return 0.0

    def call_soon(self, callback: Any) -> None:
        pass


def gate_with(places: int) -> Gate:
    """Returns a gate that lets so many in, and no more by itself."""
    gate = Gate(cast("Any", StillLoop()))
    gate._quota = places
    return gate
