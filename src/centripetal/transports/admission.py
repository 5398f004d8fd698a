"""How many clients may come in (`client.connection_limit`, `client.connection_rate_limit`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Protocol

import structlog

from ..interfaces.clock import Clock

_log = structlog.get_logger("centripetal.transports")

_RATE, _LEFT, _FILLED_AT = range(3)


class Numbers(Protocol):
    """A list or shared memory."""

    def __getitem__(self, place: int, /) -> float:
        """Returns one."""

    def __setitem__(self, place: int, value: float, /) -> None:
        """Sets one."""


class Bucket:
    """The places of `connection_rate_limit`: as many at once as the limit says, then one more each second.

    Args:
        clock: the same for all who share the bucket.
        values: three numbers, 0 at first, that it lives in; shared memory for several processes.
        lock: held while the numbers are changed.
    """

    SIZE: ClassVar[int] = 3
    """How many numbers it takes."""

    __slots__ = ("_clock", "_lock", "_values")

    def __init__(
        self,
        clock: Clock,
        values: Numbers | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._clock = clock
        self._values: Numbers = [0.0] * self.SIZE if values is None else values
        self._lock = nullcontext() if lock is None else lock

    def resize(self, rate: int) -> None:
        """Sets how many places there are; another number begins with all of them free, the same goes on."""
        values = self._values
        with self._lock:
            if values[_RATE] != rate:
                values[_RATE] = values[_LEFT] = float(rate)
                values[_FILLED_AT] = self._clock.monotonic()

    def take(self) -> bool:
        """Takes a place, if there is one."""
        values = self._values
        with self._lock:
            now = self._clock.monotonic()
            left = min(values[_RATE], values[_LEFT] + max(now - values[_FILLED_AT], 0.0))
            values[_FILLED_AT] = now
            taken = left >= 1.0
            values[_LEFT] = left - taken
        return taken


class Admission:
    """Decides before the upgrade whether there is room for one more connection.

    Args:
        clock: for the rate.
        num_clients: how many clients are connected to the server now.
        connection_limit: largest number of them, 0 for no limit.
        connection_rate_limit: connections that may come at once; one more each second. 0 for no limit.
        count_refusal: called for each connection that the connection limit refuses.
        bucket: of the rate, if several processes share it.
    """

    __slots__ = ("_bucket", "_count_refusal", "_limit", "_num_clients", "_rate")

    def __init__(
        self,
        clock: Clock,
        num_clients: Callable[[], int],
        connection_limit: int = 0,
        connection_rate_limit: int = 0,
        count_refusal: Callable[[], None] = lambda: None,
        bucket: Bucket | None = None,
    ) -> None:
        self._num_clients = num_clients
        self._count_refusal = count_refusal
        self._bucket = bucket or Bucket(clock)
        self.reconfigure(connection_limit, connection_rate_limit)

    def reconfigure(self, connection_limit: int, connection_rate_limit: int) -> None:
        """Sets other limits; a new rate begins with its whole burst."""
        self._limit = connection_limit
        self._rate = connection_rate_limit
        if connection_rate_limit > 0:  # others that share the bucket may not have learned yet that there is no limit
            self._bucket.resize(connection_rate_limit)

    def admit(self) -> bool:
        """Takes a place of the rate, if there is one, and says whether the connection may come in."""
        if self._rate > 0 and not self._bucket.take():
            return False
        if self._limit > 0 and self._num_clients() >= self._limit:
            self._count_refusal()
            _log.warning("connection_limit_reached", limit=self._limit)
            return False
        return True
