"""One proxy: a hook that asks a backend, counts what it does and tells of failures."""

from __future__ import annotations

import time
from typing import Any, Protocol

from ..interfaces import HookError
from ..interfaces.hooks import DEFAULT_HOOK, Event
from ..node.counters import Counters
from ..node.limited_log import LimitedLogger
from .answers import answer_of
from .requests import Forwarder
from .results import Response


class Backend(Protocol):
    """Who answers one event, over one protocol."""

    @property
    def protocol(self) -> str:
        """`http` or `grpc`."""

    @property
    def forwarder(self) -> Forwarder:
        """Chooses what of a connection is sent along."""

    async def ask(self, request: Any) -> Response[Any]:
        """Returns the answer.

        Raises:
            HookError: there is none.
        """


class Proxy:
    """Asks one backend about one event.

    Attributes:
        backend: who is asked.
        log: takes its failures, at a bounded rate.
    """

    __slots__ = ("_counters", "_event", "_labels", "_name", "backend", "log")

    def __init__(
        self,
        event: Event[Any, Any],
        backend: Backend,
        counters: Counters,
        log: LimitedLogger,
        name: str = DEFAULT_HOOK,
    ) -> None:
        self.backend = backend
        self._event = event
        self._name = name
        self._counters = counters
        self.log = log
        self._labels = (backend.protocol, event.name, name)

    async def __call__(self, request: Any) -> Any:
        """Asks; see interfaces.hooks for what comes of it."""
        counters, labels = self._counters, self._labels
        started = time.perf_counter()
        counters.proxy_inflight[labels] += 1
        answered = False
        try:
            response = await self.backend.ask(request)
            answered = True
            return answer_of(self._event, response)
        except HookError as error:
            answered = True
            counters.proxy_errors[labels] += 1
            self.log.error("proxy_failed", proxy=self._event.name, name=self._name, error=str(error))
            raise
        finally:
            counters.proxy_inflight[labels] -= 1
            if answered:  # a call for a client that left says nothing of the backend
                counters.proxy_duration[labels].observe(time.perf_counter() - started)
