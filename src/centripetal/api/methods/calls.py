"""Calls of methods, as every binding (HTTP, gRPC, consumers) makes them."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from ...model import ClientError
from ...model.errors import forget_traceback
from ..contract import ApiNode
from ..errors import INTERNAL, ApiError, api_error
from ..requests import Request
from ..results import BroadcastResult, Result
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

    async def call(self, name: str, request: Request) -> Result | ApiError:
        """Calls one method. Nothing escapes: a failure of ours or of a plug-in is logged and answered with 100.

        Args:
            name: in METHODS.
            request: of the method's type.
        """
        handler, labels = self._handlers[name]
        started = perf_counter()
        outcome: Result | ApiError
        try:
            outcome = await handler(self._node, request)
        except ClientError as error:
            outcome = api_error(error)
            forget_traceback(error)
        except Exception as error:  # noqa: BLE001  # logged with its traceback; callers get an answer
            log_failure(name, error)
            forget_traceback(error)
            outcome = INTERNAL
        self._durations[labels].observe(perf_counter() - started)
        if isinstance(outcome, ApiError):
            self._count(name, outcome)
        elif isinstance(outcome, BroadcastResult):
            for response in outcome.responses:
                if isinstance(response, ApiError):
                    self._count("broadcast_publish", response)
        return outcome

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
                replies.append(Reply(method, await self.call(method, request)))
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
