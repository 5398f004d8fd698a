"""How many clients may come in (`client.connection_limit`, `client.connection_rate_limit`)."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..interfaces.clock import Clock

_log = structlog.get_logger("centripetal.transports")


class Admission:
    """Decides before the upgrade whether there is room for one more connection.

    Args:
        clock: for the rate.
        num_clients: how many clients are connected to the node now.
        connection_limit: largest number of them, 0 for no limit.
        connection_rate_limit: connections that may come at once; one more each second. 0 for no limit.
        count_refusal: called for each connection that the connection limit refuses.
    """

    __slots__ = ("_clock", "_count_refusal", "_filled_at", "_limit", "_num_clients", "_rate", "_tokens")

    def __init__(
        self,
        clock: Clock,
        num_clients: Callable[[], int],
        connection_limit: int = 0,
        connection_rate_limit: int = 0,
        count_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._num_clients = num_clients
        self._limit = connection_limit
        self._rate = connection_rate_limit
        self._tokens = float(connection_rate_limit)
        self._filled_at = clock.monotonic()
        self._count_refusal = count_refusal

    def reconfigure(self, connection_limit: int, connection_rate_limit: int) -> None:
        """Sets other limits; a new rate begins with its whole burst."""
        self._limit = connection_limit
        if connection_rate_limit != self._rate:
            self._rate = connection_rate_limit
            self._tokens = float(connection_rate_limit)
            self._filled_at = self._clock.monotonic()

    def admit(self) -> bool:
        """Takes a place of the rate, if there is one, and says whether the connection may come in."""
        if self._rate > 0:
            now = self._clock.monotonic()
            self._tokens = min(float(self._rate), self._tokens + now - self._filled_at)
            self._filled_at = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
        if self._limit > 0 and self._num_clients() >= self._limit:
            self._count_refusal()
            _log.warning("connection_limit_reached", limit=self._limit)
            return False
        return True
