"""Which handler takes which command, and what becomes of its failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import structlog

from ..interfaces import BrokerError, HookError, PresenceError
from ..model import ClientError, Disconnect
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_INAPPROPRIATE_PROTOCOL,
    ERROR_INTERNAL,
    forget_traceback,
)
from ..node.eager import run_eagerly
from ..protocol.commands import Command
from ..protocol.errors import UnencodableData
from .connect import connect
from .duties import take_pong
from .history import history
from .presence import presence, presence_stats
from .publish import publish
from .refresh import refresh
from .rpc import rpc, send
from .state import CONNECTED, NEW
from .sub_refresh import sub_refresh
from .subscription_types import subscribe_by_type
from .unsubscribe import unsubscribe

if TYPE_CHECKING:
    from .client import Client

Handler = Callable[["Client", Any, int], Awaitable[None] | None]
"""Carries a command out, or returns what has to be awaited for it."""

HANDLERS: dict[str, Handler] = {
    "connect": connect,
    "subscribe": subscribe_by_type,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "presence": presence,
    "presence_stats": presence_stats,
    "history": history,
    "rpc": rpc,
    "send": send,
    "refresh": refresh,
    "sub_refresh": sub_refresh,
}
"""Commands in the order in which they are looked for; `ping` is a message of the schema that the server refuses."""


def dispatch(client: Client, command: Command, size: int) -> bool:
    """Handles one command as far as it goes without waiting.

    Args:
        client: whose.
        command: what.
        size: bytes of it, for metrics.

    Returns:
        Whether the next command may be handled now.
    """
    expected = NEW if command.connect is not None else CONNECTED
    if client.state != expected:
        client.disconnect(DISCONNECT_BAD_REQUEST)
        return True
    if command.id == 0 and command.send is None:
        client.node.counters.messages_received[(client.transport.name, "client_pong")].add(size)
        take_pong(client)
        return True
    for method, handler in HANDLERS.items():
        request = getattr(command, method)
        if request is not None:
            break
    else:
        client.disconnect(DISCONNECT_BAD_REQUEST)
        return True
    client.node.counters.messages_received[(client.transport.name, method)].add(size)
    task = execute(client, method, handler, request, command.id)
    return task is None or client.run(task, alone=method == "connect")


def execute(
    client: Client, method: str, handler: Handler, request: Any, command_id: int
) -> asyncio.Task[None] | None:
    """Runs a handler and answers its failures: with an error reply, or by ending the connection.

    Returns:
        None if that is done, otherwise a task that goes on with it.
    """
    started = time.perf_counter()
    try:
        handling = handler(client, request, command_id)
    except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the others
        _answer_failure(client, method, command_id, error)
    else:
        if handling is not None:
            done, task = run_eagerly(_finish(client, method, command_id, started, handling))
            return None if done else cast("asyncio.Task[None]", task)
    client.node.counters.command_duration[method].observe(time.perf_counter() - started)
    return None


async def _finish(client: Client, method: str, command_id: int, started: float, handling: Awaitable[None]) -> None:
    try:
        await handling
    except Exception as error:  # noqa: BLE001 - the same
        _answer_failure(client, method, command_id, error)
    client.node.counters.command_duration[method].observe(time.perf_counter() - started)


def _answer_failure(client: Client, method: str, command_id: int, error: Exception) -> None:
    """Answers the exception that is being handled."""
    if isinstance(error, ClientError):
        client.node.client_log.info("command_refused", command=method, code=error.code, client=client.id, user=client.user)
        client.reply_error(command_id, method, error)
        forget_traceback(error)
    elif isinstance(error, Disconnect):
        client.disconnect(error)
        forget_traceback(error)
    elif isinstance(error, UnencodableData):
        client.disconnect(DISCONNECT_INAPPROPRIATE_PROTOCOL)
    elif isinstance(error, HookError):
        client.reply_error(command_id, method, ERROR_INTERNAL)  # who made the hook has logged it
    elif isinstance(error, (BrokerError, PresenceError)):
        structlog.get_logger("centripetal.connection").error("engine_failed", command=method, error=str(error))
        client.reply_error(command_id, method, ERROR_INTERNAL)
    else:
        structlog.get_logger("centripetal.connection").exception("command_failed", command=method, client=client.id)
        client.reply_error(command_id, method, ERROR_INTERNAL)
