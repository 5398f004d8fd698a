"""The commands `rpc` and `send`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces.hooks import RPC
from ..model.errors import DISCONNECT_NOT_AVAILABLE, ERROR_METHOD_NOT_FOUND, ERROR_NOT_AVAILABLE
from ..node.settings import RpcNamespaceSettings, RpcOptions, RpcSettings
from ..protocol.commands import RpcRequest, SendRequest
from ..protocol.results import RpcResult
from .hooks import call

if TYPE_CHECKING:
    from .client import Client


async def rpc(client: Client, request: RpcRequest, command_id: int) -> None:
    """Handles the command `rpc`: the built-in method of `rpc.ping`, where it is on, and those of the application.

    Raises:
        ClientError: 104, no such method; 108, there are no methods at all or none in its namespace.
        HookError: the application cannot be asked.
    """
    node, settings = client.node, client.node.rpc
    if settings.ping.enabled and request.method == settings.ping.method:
        client.reply(command_id, "rpc", RpcResult())
        return
    if not node.hooks.has_any(RPC):
        raise ERROR_METHOD_NOT_FOUND if settings.ping.enabled else ERROR_NOT_AVAILABLE
    options = options_of(settings, request.method)
    if not options.proxy_enabled:
        raise ERROR_NOT_AVAILABLE
    client.reply(command_id, "rpc", RpcResult(await call(client, request, options.proxy_name)))


def options_of(settings: RpcSettings, method: str) -> RpcOptions | RpcNamespaceSettings:
    """Returns the options of the namespace that a method's name begins with.

    Raises:
        ClientError: 104, there is no such namespace.
    """
    namespace, boundary, _ = method.partition(settings.namespace_boundary) if settings.namespace_boundary else ("", "", "")
    if not boundary:
        return settings.without_namespace
    for options in settings.namespaces:
        if options.name == namespace:
            return options
    raise ERROR_METHOD_NOT_FOUND


async def send(client: Client, request: SendRequest, command_id: int) -> None:
    """Handles the command `send`, which nobody takes.

    Raises:
        Disconnect: 3508.
    """
    raise DISCONNECT_NOT_AVAILABLE
