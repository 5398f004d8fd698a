"""QUIC with several workers and through takeovers: every connection stays where it is, whoever gets its datagrams."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from test_lifecycle import OPEN, Running
from test_workers import children

sys.path.append(str(Path(__file__).parent.parent / "transports"))
from quic import QuicClient, Session, make_certificate, quic_client, until
from quic import run as play

from centripetal.server.meeting import meet
from centripetal.transports.quic_relay import TAG_BYTES

CERTIFICATE, KEY = (pem.decode() for pem in make_certificate())
PATH = "/connection/webtransport"
CONNECT = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"news"}}\n'
MANY = 64
"""So many tries do not all meet the same of some workers."""

SECONDS = 20.0


class Place:
    """Where the servers of a test are, and those that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "takeover"
        self.servers: list[Running] = []

    def _inode(self) -> int:
        return self.socket.stat().st_ino if self.socket.exists() else 0

    def start(self, workers: int, *, http3: bool = True, **options: Any) -> Running:
        tls = {"enabled": True, "cert_pem": CERTIFICATE, "key_pem": KEY}
        config = OPEN | {
            "http_server": {
                "address": "127.0.0.1",
                "port": self.port,
                "tls": tls,
                "http3": {"enabled": http3},
                "takeover_socket": str(self.socket),
            },
            "webtransport": {"enabled": http3},
            "health": {"enabled": True},
            "workers": str(workers),
            "shutdown": {"drain_time": "120s", "timeout": "130s"},  # longer than any test; whoever has no client ends at once
        }
        folder = self.folder / str(len(self.servers))
        folder.mkdir()
        before = self._inode()
        server = Running(folder, config | options)
        self.servers.append(server)
        server.wait_for_times('"listener":"http3"' if http3 else '"listener":"external"', workers)
        limit = time.monotonic() + SECONDS
        while self._inode() in (0, before):  # it comes after the ports
            assert time.monotonic() < limit
            time.sleep(0.02)
        return server


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for server in place.servers:
        server.process.kill()
        server.process.wait()


def tag_of(client: QuicClient) -> bytes:
    """Returns which process a connection is at."""
    return client._quic._peer_cid.cid[:TAG_BYTES]


class Subscriber:
    """A connection with a session that subscribes."""

    def __init__(self, client: QuicClient, session: Session) -> None:
        self.client = client
        self.session = session
        self.tag = tag_of(client)
        self.number = 2

    async def answers(self) -> bool:
        """Sends a command and waits for its reply."""
        self.number += 1
        self.session.send(b'{"id":%d,"presence_stats":{"channel":"none"}}\n' % self.number)
        await until(lambda: b'"id":%d' % self.number in self.session.stream.data)
        return self.client.terminated is None


@asynccontextmanager
async def subscriber(port: int) -> AsyncIterator[Subscriber]:
    async with quic_client(port) as client:
        session = await client.open_session(PATH)
        session.send(CONNECT)
        await session.wait_data(b'"id":2')
        yield Subscriber(client, session)


@asynccontextmanager
async def some_at_each(port: int, workers: int, each: int = 1) -> AsyncIterator[list[Subscriber]]:
    """As many subscribers at each of the workers, in the order in which they came."""
    found: dict[bytes, list[Subscriber]] = {}
    async with AsyncExitStack() as stay:
        for _ in range(MANY):
            async with AsyncExitStack() as leave:
                one = await leave.enter_async_context(subscriber(port))
                others = found.setdefault(one.tag, [])
                if len(others) < each:
                    others.append(one)
                    stay.push_async_exit(leave.pop_all())
            if [len(others) for others in found.values()] == [each] * workers:
                break
        assert [len(others) for others in found.values()] == [each] * workers
        yield [one for others in found.values() for one in others]


async def publish(client: QuicClient, data: str) -> None:
    body = json.dumps({"channel": "news", "data": data}).encode()
    answer = await client.request("POST", "/api/publish", body, {"x-api-key": "key"})
    assert (answer.status, answer.data) == (200, b'{"result":{}}')


async def move(client: QuicClient) -> None:
    """Changes the client's address, as a network does."""
    before = client._transport
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: client, local_addr=("::ffff:127.0.0.1", 0))
    assert client._transport is not before
    assert before is not None
    before.close()


def test_workers_share_the_port_and_are_one_server(place: Place) -> None:
    server = place.start(3, shutdown={})

    async def scene() -> None:
        async with some_at_each(place.port, 3) as subscribers:
            await publish(subscribers[0].client, "to all")
            for one in subscribers:
                await one.session.wait_data(b"to all")
            os.kill(server.process.pid, signal.SIGTERM)
            for one in subscribers:
                assert b'"code":3001' in await one.session.wait_data(b"shutdown")

    play(scene)
    assert server.process.wait(SECONDS) == 0
    assert "Traceback" not in server.log_path.read_text()


def test_a_connection_survives_a_change_of_its_address(place: Place) -> None:
    place.start(2)

    async def scene() -> None:
        async with subscriber(place.port) as one:
            for number in range(12):  # the kernel gives about half of these addresses to the other worker
                await move(one.client)
                if number % 2:
                    one.client._quic.change_connection_id()
                assert await one.answers()
                assert tag_of(one.client) == one.tag

    play(scene)


def test_a_worker_that_dies_costs_only_its_own_connections_and_they_are_told(place: Place) -> None:
    server = place.start(2)

    async def scene() -> None:
        async with some_at_each(place.port, 2) as subscribers:
            datagrams: list[list[bytes]] = [[], []]
            for one, got in zip(subscribers, datagrams, strict=True):
                take = one.client.datagram_received

                def note(data: bytes, addr: Any, take: Any = take, got: list[bytes] = got) -> None:
                    got.append(bytes(data))
                    take(data, addr)

                one.client.datagram_received = note  # type: ignore[method-assign,assignment]
            os.kill(children(server)["worker 0"], signal.SIGKILL)
            await asyncio.to_thread(server.wait_for_times, '"listener":"http3"', 3)
            for got in datagrams:
                got.clear()
            lost = []
            for one, got in zip(subscribers, datagrams, strict=True):
                token = one.client._quic._peer_cid.stateless_reset_token
                one.session.send(b'{"id":9,"presence_stats":{"channel":"none"}}\n')

                def is_told(token: bytes = token, got: list[bytes] = got) -> bool:
                    return any(data.endswith(token) for data in got)

                await until(lambda one=one, is_told=is_told: b'"id":9' in one.session.stream.data or is_told())
                lost.append(is_told())
            assert sorted(lost) == [False, True]
            (alive,) = [one for one, is_lost in zip(subscribers, lost, strict=True) if not is_lost]
            async with some_at_each(place.port, 2) as newcomers:
                await publish(newcomers[0].client, "to the rest")
                await alive.session.wait_data(b"to the rest")
                assert {one.tag for one in newcomers} == {one.tag for one in subscribers}

    play(scene)


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (1, 3), (3, 1)])
def test_a_successor_serves_newcomers_and_passes_on_what_is_for_its_predecessor(place: Place, counts: tuple[int, int]) -> None:
    old = place.start(counts[0])

    async def scene() -> None:
        async with some_at_each(place.port, counts[0], 2) as subscribers:
            first, later = subscribers[::2], subscribers[1::2]  # who has to go at once, and who does not
            new = await asyncio.to_thread(place.start, counts[1])
            await asyncio.to_thread(old.wait_for_times, '"stopping"', counts[0])
            async with some_at_each(place.port, counts[1]) as newcomers:
                assert not {one.tag for one in later} & {one.tag for one in newcomers}
                await publish(newcomers[0].client, "from the new one")
                for one in later + newcomers:
                    assert await one.answers()
                    await one.session.wait_data(b"from the new one")
                for one in first:
                    assert b'"code":3001' in await one.session.wait_data(b"shutdown")
                    one.session.send(b"", end=True)
                    assert await one.session.wait_closed() == (3001, "shutdown")
                    one.session.close()
                for one in later:
                    one.session.close()
                assert await asyncio.to_thread(old.process.wait, SECONDS) == 0
                for one in newcomers:
                    assert await one.answers()
            assert new.process.poll() is None

    play(scene)
    for server in place.servers:
        assert "Traceback" not in server.log_path.read_text()


def test_three_servers_have_connections_at_one_port(place: Place) -> None:
    async def scene() -> None:
        async with AsyncExitStack() as stay:
            subscribers: list[Subscriber] = []
            before = 0
            for workers in (2, 1, 2):
                await asyncio.to_thread(place.start, workers)
                if before:
                    await asyncio.to_thread(place.servers[-2].wait_for_times, '"stopping"', before)
                subscribers += (await stay.enter_async_context(some_at_each(place.port, workers, 2)))[1::2]
                before = workers
            assert len({one.tag for one in subscribers}) == 5
            for one in subscribers:
                assert await one.answers()
            assert all(server.process.poll() is None for server in place.servers)

    play(scene)


def test_a_server_whose_successor_does_not_begin_goes_on(place: Place) -> None:
    place.start(2)

    async def scene() -> None:
        async with some_at_each(place.port, 2) as subscribers:
            connection, listening, legacy = await asyncio.to_thread(meet, str(place.socket), ("127.0.0.1", place.port))
            assert legacy is not None
            assert set(legacy.outboxes) == {one.tag for one in subscribers} and len(legacy.sockets) == 2
            connection.close()
            for sock in (*legacy.sockets, *legacy.outboxes.values(), *listening["127.0.0.1", place.port]):
                sock.close()
            for one in subscribers:
                assert await one.answers()
            async with some_at_each(place.port, 2):
                pass

    play(scene)


def test_a_successor_without_http3_leaves_the_port_to_its_predecessor(place: Place) -> None:
    """... and one with HTTP/3 gets it again, when nobody has it any more."""
    first = place.start(1)

    async def scene() -> None:
        async with some_at_each(place.port, 1, 2) as (_, later):
            await asyncio.to_thread(place.start, 2, http3=False)
            await asyncio.to_thread(first.wait_for, '"stopping"')
            assert await later.answers()
            later.session.close()
        assert await asyncio.to_thread(first.process.wait, SECONDS) == 0
        await asyncio.to_thread(place.start, 1)
        async with subscriber(place.port) as one:
            assert await one.answers()

    play(scene)
