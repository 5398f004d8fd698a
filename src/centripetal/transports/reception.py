"""What all ways in ask of a newcomer."""

from __future__ import annotations

from dataclasses import dataclass

from .admission import Admission
from .origins import Origins


@dataclass(frozen=True, slots=True)
class Reception:
    """Who may come in, and how it is kept awake.

    Attributes:
        origins: pages that may connect, or read answers.
        admission: whether there is room; one for all ways in, since the rate is the node's.
        ping_interval_seconds: `client.ping_interval`, 0 for no pings.
        pong_timeout_seconds: `client.pong_timeout`, 0 for no check.
    """

    origins: Origins
    admission: Admission
    ping_interval_seconds: float = 25.0
    pong_timeout_seconds: float = 8.0
