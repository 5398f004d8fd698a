"""Accepting as the gate allows."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from gates import gate_with
from structlog.testing import capture_logs

from centripetal.transports import acceptor as acceptor_module
from centripetal.transports import asyncio_transports
from centripetal.transports.acceptor import Acceptor
from centripetal.transports.binding import bind


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def test_those_without_a_place_wait_in_the_kernel() -> None:
    async def scene() -> None:
        (listening,) = bind("127.0.0.1", 0)
        listening.listen(100)
        gate = gate_with(3)
        accepted: list[socket.socket] = []

        def welcome(connection: Any, peer: tuple[str, int]) -> None:
            assert peer == connection.getpeername()
            accepted.append(connection)

        acceptor = Acceptor(listening, gate, welcome)
        clients = [socket.create_connection(listening.getsockname()) for _ in range(6)]
        await wait_for(lambda: len(accepted) == 3 and bool(gate._waiting))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(accepted) == 3
        gate._quota += 2
        gate._waiting.pop()[0].let_in()
        await wait_for(lambda: len(accepted) == 6)
        acceptor.close()
        with pytest.raises(OSError):
            socket.create_connection(clients[0].getpeername())
        for sock in (*accepted, *clients):
            sock.close()

    asyncio.run(scene())


def test_those_for_whom_the_system_has_no_room_end_and_others_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "PAUSE_SECONDS", 0.01)

    async def scene() -> None:
        (listening,) = bind("127.0.0.1", 0)
        listening.listen(100)
        accepted: list[Any] = []

        def welcome(connection: Any, peer: tuple[str, int]) -> None:
            if full:
                raise OSError(errno.ENOSPC, "too many descriptors are watched")
            accepted.append(connection)

        full = True
        acceptor = Acceptor(listening, gate_with(100), welcome)
        with capture_logs() as logs:
            first = socket.create_connection(listening.getsockname())
            first.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(first, 1) == b""
            full = False
            second = socket.create_connection(listening.getsockname())
            await wait_for(lambda: len(accepted) == 1)
        assert [entry["event"] for entry in logs] == ["accept_failed"]
        acceptor.close()
        for sock in (first, second, *accepted):
            sock.close()

    asyncio.run(scene())


def test_a_handshake_that_fails_is_the_peers_affair() -> None:
    ended: list[str] = []

    class Loop:
        """Carries nothing: the peer goes away in the middle of the handshake."""

        async def connect_accepted_socket(self, new_protocol: Any, connection: socket.socket, **tls: Any) -> None:
            assert tls["ssl_handshake_timeout"] == asyncio_transports.HANDSHAKE_SECONDS
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, None)
            await future
            ended.append("failed")
            connection.close()
            raise ConnectionResetError

    async def scene() -> None:
        for ours, theirs in (socket.socketpair(), socket.socketpair()):
            asyncio_transports.carry(Loop(), ours, asyncio.Protocol, ssl.create_default_context())  # type: ignore[arg-type]
            theirs.close()
        assert ended == []
        await wait_for(lambda: len(ended) == 2)

    asyncio.run(scene())


def test_all_interfaces_have_one_port() -> None:
    sockets = bind("", 0)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    for sock in sockets:
        sock.listen()
    with pytest.raises(OSError, match="cannot listen"):
        bind("127.0.0.1", sockets[0].getsockname()[1])
    for sock in sockets:
        sock.close()
