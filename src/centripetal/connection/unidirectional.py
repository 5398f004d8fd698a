"""Clients that only listen: connect comes as a request, not as a command, and its failure ends the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model import ClientError, Disconnect
from ..model.errors import (
    DISCONNECT_EXPIRED,
    DISCONNECT_PERMISSION_DENIED,
    DISCONNECT_SERVER_ERROR,
    DISCONNECT_TOO_MANY_REQUESTS,
    ERROR_EXPIRED,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
    ERROR_TOO_MANY_REQUESTS,
)
from ..node.settings import UnidirectionalDisconnectSettings
from ..protocol.commands import ConnectRequest
from .dispatch import HANDLERS, execute
from .state import NEW

if TYPE_CHECKING:
    from .client import Client

_DISCONNECTS = {
    ERROR_EXPIRED.code: DISCONNECT_EXPIRED,
    ERROR_TOKEN_EXPIRED.code: DISCONNECT_EXPIRED,
    ERROR_TOO_MANY_REQUESTS.code: DISCONNECT_TOO_MANY_REQUESTS,
    ERROR_PERMISSION_DENIED.code: DISCONNECT_PERMISSION_DENIED,
}


def connect(client: Client, request: ConnectRequest) -> None:
    """Connects a client with the request that it came with; the answer is a push."""
    if client.state != NEW:
        return
    client.node.counters.messages_received[(client.transport.name, "connect")].add(0)
    task = execute(client, "connect", HANDLERS["connect"], request, 0)
    if task is not None:
        client.run(task, alone=True)


def disconnect_of(error: ClientError, settings: UnidirectionalDisconnectSettings) -> Disconnect:
    """Returns the disconnect that tells of a failed connect; the error is its cause.

    Args:
        error: of connect.
        settings: `client.connect_code_to_unidirectional_disconnect`.
    """
    found = _DISCONNECTS.get(error.code, DISCONNECT_SERVER_ERROR)
    disconnect = Disconnect(found.code, found.reason)
    if settings.enabled:
        for transform in settings.transforms:
            if transform.code == error.code:
                disconnect = Disconnect(transform.to.code, transform.to.reason)
                break
    disconnect.__cause__ = error
    return disconnect
