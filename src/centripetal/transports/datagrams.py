"""UDP sockets: bound, read by the event loop, and written to for longer than they are read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Any

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024


def bind_datagrams(host: str | None, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Returns UDP sockets bound to an address, one for each family that it has.

    Args:
        host: address or name; empty or None for all interfaces.
        port: UDP port, 0 for a free one.
        reuse_port: let other sockets be bound to it, too (SO_REUSEPORT); the kernel gives all datagrams of one address to the same.

    Raises:
        OSError: the address cannot be bound.
    """
    sockets: list[socket.socket] = []
    address: Any
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a family that this machine does not have
            sockets.append(sock)
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            if port == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            try:
                sock.bind(address)
            except OSError as error:
                if len(found) == 1 or error.errno != errno.EADDRNOTAVAIL:  # IPv6 may be switched off
                    raise OSError(
                        error.errno, f"cannot listen on {address[0]} port {address[1]} (UDP): {error.strerror or error}"
                    ) from None
                sockets.pop().close()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(f"there is no address to listen on for {host!r}")
    return sockets


class DatagramPort:
    """UDP sockets of one port.

    Attributes:
        number: of the port; 0 while it is closed.
    """

    def __init__(self) -> None:
        self.number = 0
        self._transports: list[asyncio.DatagramTransport] = []
        self._senders: dict[int, asyncio.DatagramTransport] = {}  # by length of an address
        self._sockets: dict[int, socket.socket] = {}  # likewise
        self._unread: dict[int, socket.socket] = {}  # likewise, when another process reads them

    async def open(self, receiver: asyncio.DatagramProtocol, sockets: Iterable[socket.socket]) -> None:
        """Begins to read.

        Args:
            receiver: gets the datagrams.
            sockets: bound ones, which are the port's from now on.
        """
        loop = asyncio.get_running_loop()
        for sock in sockets:
            transport, _ = await loop.create_datagram_endpoint(lambda: receiver, sock=sock)
            name = sock.getsockname()
            self._transports.append(transport)
            self._senders.setdefault(len(name), transport)
            self._sockets.setdefault(len(name), sock)
            self.number = int(name[1])

    def send(self, data: bytes, address: Any) -> None:
        """Sends a datagram, from a socket of the address's family."""
        transport = self._senders.get(len(address))
        if transport is not None:
            transport.sendto(data, address)
        elif len(address) in self._unread:
            with contextlib.suppress(OSError):  # it is lost, as on any network
                self._unread[len(address)].sendto(data, address)

    def stop_reading(self) -> None:
        """Leaves what comes to another process that has the same sockets. What is sent still goes out."""
        self._unread = {length: sock.dup() for length, sock in self._sockets.items()}
        self._close_transports()

    def close(self) -> None:
        """Gives the sockets up."""
        self._close_transports()
        for sock in self._unread.values():
            sock.close()
        self._unread.clear()
        self.number = 0

    def _close_transports(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports.clear()
        self._senders.clear()
        self._sockets.clear()
