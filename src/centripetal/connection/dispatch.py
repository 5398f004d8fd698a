"""Which handler takes which command, and what becomes of its failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

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

Handler = Callable[["Client", Any, int], Awaitable[None]]

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
    done, task = run_eagerly(execute(client, method, handler, request, command.id))
    if done:
        return True
    assert isinstance(task, asyncio.Task)
    return client.run(task, alone=method == "connect")


async def execute(client: Client, method: str, handler: Handler, request: Any, command_id: int) -> None:
    """Runs a handler and answers its failures: with an error reply, or by ending the connection."""
    started = time.perf_counter()
    try:
        await handler(client, request, command_id)
    except ClientError as error:
        client.node.client_log.info("command_refused", command=method, code=error.code, client=client.id, user=client.user)
        client.reply_error(command_id, method, error)
        forget_traceback(error)
    except Disconnect as disconnect:
        client.disconnect(disconnect)
        forget_traceback(disconnect)
    except UnencodableData:
        client.disconnect(DISCONNECT_INAPPROPRIATE_PROTOCOL)
    except HookError:
        client.reply_error(command_id, method, ERROR_INTERNAL)  # who made the hook has logged it
    except (BrokerError, PresenceError) as error:
        structlog.get_logger("centripetal.connection").error("engine_failed", command=method, error=str(error))
        client.reply_error(command_id, method, ERROR_INTERNAL)
    except Exception:  # noqa: BLE001 - a mistake of ours must not end the others
        structlog.get_logger("centripetal.connection").exception("command_failed", command=method, client=client.id)
        client.reply_error(command_id, method, ERROR_INTERNAL)
    client.node.counters.command_duration[method].observe(time.perf_counter() - started)
