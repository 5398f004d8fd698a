"""UDP sockets: read by the event loop, and written to for longer than they are read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from typing import Any


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
