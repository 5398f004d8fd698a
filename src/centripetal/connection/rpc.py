"""The commands `rpc` and `send`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import DISCONNECT_NOT_AVAILABLE, ERROR_METHOD_NOT_FOUND, ERROR_NOT_AVAILABLE
from ..protocol.commands import RpcRequest, SendRequest
from ..protocol.results import RpcResult

if TYPE_CHECKING:
    from .client import Client


async def rpc(client: Client, request: RpcRequest, command_id: int) -> None:
    """Handles the command `rpc`: the built-in method of `rpc.ping`, where it is on.

    Raises:
        ClientError: 104, no such method; 108, there are no methods at all.
    """
    ping = client.node.rpc.ping
    if not ping.enabled:
        raise ERROR_NOT_AVAILABLE
    if request.method != ping.method:
        raise ERROR_METHOD_NOT_FOUND
    client.reply(command_id, "rpc", RpcResult())


async def send(client: Client, request: SendRequest, command_id: int) -> None:
    """Handles the command `send`, which nobody takes.

    Raises:
        Disconnect: 3508.
    """
    raise DISCONNECT_NOT_AVAILABLE
