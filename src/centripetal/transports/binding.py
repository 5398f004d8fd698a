"""Sockets bound to an address: TCP to listen on, UDP to read."""

from __future__ import annotations

import errno
import socket
from typing import Any

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
"""What the kernel may keep of datagrams while the event loop does something else."""


def bind(
    host: str | None, port: int, *, kind: int = socket.SOCK_STREAM, reuse_port: bool = False
) -> list[socket.socket]:
    """Returns sockets bound to an address, one for each family that it has.

    Args:
        host: address or name; empty or None for all interfaces.
        port: 0 for a free one.
        kind: SOCK_STREAM for TCP, SOCK_DGRAM for UDP.
        reuse_port: let other sockets be bound to it, too (SO_REUSEPORT), of this process or others; the kernel gives all
            datagrams of one address to the same.

    Raises:
        OSError: the address cannot be bound.
    """
    sockets: list[socket.socket] = []
    found = dict.fromkeys(socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE))
    try:
        for family, _, protocol, _, address in found:
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a family that this machine does not have
            sockets.append(sock)
            _prepare(sock, reuse_port)
            if port == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            if not _bind(sock, address, several=len(found) > 1):
                sockets.pop().close()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(f"there is no address to listen on for {host!r}")
    return sockets


def _prepare(sock: socket.socket, reuse_port: bool) -> None:
    sock.setblocking(False)
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind(sock: socket.socket, address: Any, *, several: bool) -> bool:
    """Returns False where a family is switched off, and there are others."""
    try:
        sock.bind(address)
    except OSError as error:
        if several and error.errno == errno.EADDRNOTAVAIL:
            return False
        place = f"{address[0]}:{address[1]}" + (" (UDP)" if sock.type == socket.SOCK_DGRAM else "")
        raise OSError(error.errno, f"cannot listen on {place}: {error.strerror or error}") from None
    return True
