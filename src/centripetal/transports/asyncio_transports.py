"""Connections that the event loop carries: those over TLS, and all of them where there is no epoll."""

from __future__ import annotations

import _socket
import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .tls import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS


class AcceptedSocket(socket.socket):
    """A connection's socket whose family and type are numbers: to make them members of enumerations, each time that one
    of them is asked for, would cost as much as all the rest of accepting."""

    __slots__ = ()
    family = _socket.socket.family  # type: ignore[assignment]
    type = _socket.socket.type  # type: ignore[assignment]


def carry(
    loop: asyncio.AbstractEventLoop,
    connection: _socket.socket,
    new_protocol: Callable[[], Any],
    tls: ssl.SSLContext | None,
) -> None:
    """Makes a transport of an accepted socket, over TLS after a handshake.

    Args:
        loop: that carries the connection.
        connection: the socket, which is the loop's from now on.
        new_protocol: makes the protocol of the connection when it is made.
        tls: the context of the server, if the connection is to be over TLS.
    """
    accepted = AcceptedSocket(connection.family, connection.type, connection.proto, connection.detach())
    if tls is None:
        _shake_hands(loop.connect_accepted_socket(new_protocol, accepted))
    else:
        _shake_hands(
            loop.connect_accepted_socket(
                new_protocol,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        )


def _shake_hands(handshake: Coroutine[Any, Any, Any], done: asyncio.Future[Any] | None = None) -> None:
    """Goes on with a handshake until it waits. There is no task for it: in clear text it has nothing more to do then."""
    try:
        waits_for = handshake.send(None)
    except StopIteration:
        return
    except OSError:
        return  # the peer's mistake, or its silence; ssl.SSLError is one, TimeoutError, too
    waits_for.add_done_callback(partial(_shake_hands, handshake))
