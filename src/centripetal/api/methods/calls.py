"""Calls of methods, as every binding (HTTP, gRPC, consumers) makes them."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from time import perf_counter
from typing import Any

from ...model import ClientError
from ...model.errors import forget_traceback
from ..contract import ApiNode
from ..errors import INTERNAL, ApiError, api_error
from ..requests import Request
from ..results import BroadcastResult, Outcome, is_outcome
from ..time_slice import TimeSlice
from .commands import Command, Reply
from .concurrency import run_together
from .failures import log_failure
from .table import METHODS

MAX_BATCH_COMMANDS = 100_000
"""Bindings refuse a batch of more commands."""


class Methods:
    """Calls methods on a node and counts calls."""

    def __init__(self, node: ApiNode, protocol: str) -> None:
        """Makes the methods of one binding.

        Args:
            node: what they work on.
            protocol: `http` or `grpc`, a label of metrics.
        """
        self._node = node
        self._protocol = protocol
        self._durations = node.counters.api_duration
        self._handlers = {method.name: (method.handler, (protocol, method.name)) for method in METHODS.values()}

    def begin(self, name: str, request: Request) -> Outcome | Coroutine[Any, Any, Outcome]:
        """Calls one method as call() does; what need not wait, mostly a publish, costs no coroutine then.

        Returns:
            The outcome, or a coroutine that waits for it.
        """
        handler, labels = self._handlers[name]
        started = perf_counter()
        try:
            outcome = handler(self._node, request)
        except Exception as error:  # noqa: BLE001  # logged with its traceback; callers get an answer
            outcome = _failure(name, error)
        if not is_outcome(outcome):
            return self._finish(name, labels, started, outcome)
        self._durations[labels].observe(perf_counter() - started)
        if type(outcome) is ApiError:
            self._count(name, outcome)
        return outcome

    async def _finish(
        self, name: str, labels: tuple[str, str], started: float, handling: Coroutine[Any, Any, Outcome]
    ) -> Outcome:
        try:
            outcome = await handling
        except Exception as error:  # noqa: BLE001  # the same
            outcome = _failure(name, error)
        self._durations[labels].observe(perf_counter() - started)
        if isinstance(outcome, ApiError):
            self._count(name, outcome)
        elif isinstance(outcome, BroadcastResult):
            for response in outcome.responses:
                if isinstance(response, ApiError):
                    self._count("broadcast_publish", response)
        return outcome

    async def call(self, name: str, request: Request) -> Outcome:
        """Calls one method. Nothing escapes: a failure of ours or of a plug-in is logged and answered with 100.

        Args:
            name: in METHODS.
            request: of the method's type.
        """
        outcome = self.begin(name, request)
        return outcome if is_outcome(outcome) else await outcome

    async def batch(self, commands: Sequence[Command], parallel: bool) -> list[Reply]:
        """Calls several methods (`batch`); one that fails does not stop the others.

        Args:
            commands: at most MAX_BATCH_COMMANDS; run in order.
            parallel: whether a command may start while one before it waits.

        Returns:
            One reply per command, in the commands' order.
        """
        if parallel:
            return await run_together(commands, self._reply)
        replies = []
        time_slice = TimeSlice()
        for command in commands:
            method, request = command.method, command.request
            if request is None:
                replies.append(await self._reply(command))
            else:
                outcome = self.begin(method, request)
                replies.append(Reply(method, outcome if is_outcome(outcome) else await outcome))
            if time_slice.is_over():
                await time_slice.renew()
        return replies

    async def _reply(self, command: Command) -> Reply:
        if command.request is not None:
            return Reply(command.method, await self.call(command.method, command.request))
        error = command.error or INTERNAL
        self._count("unknown", error)
        return Reply("", error)

    def _count(self, method: str, error: ApiError) -> None:
        self._node.counters.api_errors[self._protocol, method, error.code] += 1


def _failure(name: str, error: Exception) -> ApiError:
    if isinstance(error, ClientError):
        outcome = api_error(error)
    else:
        log_failure(name, error)
        outcome = INTERNAL
    forget_traceback(error)
    return outcome
