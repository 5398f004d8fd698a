"""A server with several workers takes over from another one: whatever their numbers are, nothing is lost, and no publish fails."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from test_lifecycle import START_SECONDS, Running
from test_takeover import (
    CHANNELS,
    CONFIG,
    Publisher,
    Subscriber,
    ask_presence,
    break_off_in_the_middle,
)
from test_takeover import start as start_with_one
from test_workers import eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from centripetal.server.meeting import greet, meet
from centripetal.server.takeover import READY

CLIENTS = 20
GENERATIONS = ("3", "2", "1", "1", "2")
"""Numbers of workers."""

DRAIN = {"drain_time": "1.2s"}
"""Longer than the next generation takes to start."""

LONG_DRAIN = {"drain_time": "60s", "timeout": "70s"}
"""Longer than a test; who has no clients ends at once."""


class Place:
    """Where the servers of a test are, and those that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "takeover"
        self.servers: list[Running] = []

    def start(self, workers: str, **options: Any) -> Running:
        config = CONFIG | {"shutdown": DRAIN, "workers": workers, "pid_file": "../pid"} | options
        server = start_with_one(self.folder, f"server {len(self.servers)}", self.port, config)
        self.servers.append(server)
        return server

    def wait_for_pid(self, server: Running) -> None:
        """Waits until the file has the process id of a server."""
        server.wait_for_file(self.folder / "pid", str(server.process.pid))

    def wait_started(self, server: Running, workers: str) -> None:
        """Waits until the first server listens at its port, and for a successor."""
        server.wait_for_times('"listening"', int(workers))
        server.wait_for_file(self.socket)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for server in place.servers:
        server.process.kill()
        server.process.wait()


def test_nothing_is_lost_whatever_the_numbers_of_workers_are(place: Place) -> None:
    """Each generation takes over while the one before has not said goodbye to all yet."""

    async def take_over(publisher: Publisher, workers: str) -> None:
        before = place.socket.stat().st_ino
        new = place.start(workers)
        await asyncio.to_thread(new.wait_for, "taken_over")
        await asyncio.to_thread(place.wait_for_pid, new)
        await eventually(lambda: place.socket.stat().st_ino != before, "the next one can come")
        await publisher.wait_more(3)

    async def scene() -> None:
        first = place.start(GENERATIONS[0])
        await asyncio.to_thread(place.wait_started, first, GENERATIONS[0])
        url = f"ws://127.0.0.1:{place.port}/connection/websocket"
        subscribers = [Subscriber(url, f"c{number % CHANNELS}") for number in range(CLIENTS)]
        sessions = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
        for subscriber in subscribers:
            await asyncio.wait_for(subscriber.subscribed.wait(), START_SECONDS)
        publisher = Publisher(place.port)
        publishing = asyncio.create_task(asyncio.to_thread(publisher.run))
        try:
            for workers in GENERATIONS[1:]:
                await take_over(publisher, workers)
            for server in place.servers[:-1]:
                assert await asyncio.to_thread(server.process.wait, START_SECONDS) == 0, server.log_path.read_text()
            await publisher.wait_more(3)
        finally:
            publisher.stopping = True
        await publishing
        for subscriber in subscribers:
            expected = list(range(publisher.published[int(subscriber.channel[1:])]))
            limit = time.monotonic() + START_SECONDS
            while subscriber.data != expected:
                assert time.monotonic() < limit, (len(subscriber.data), len(expected))
                await asyncio.sleep(0.02)
        assert all(subscriber.closed_at for subscriber in subscribers)
        assert ask_presence(place.port, "c0") == CLIENTS // CHANNELS
        for session in sessions:
            session.cancel()
        for outcome in await asyncio.gather(*sessions, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome

    asyncio.run(scene())
    for server in place.servers:
        log = server.log_path.read_text()
        assert "Traceback" not in log and "process_ended" not in log and '"error"' not in log, log


def test_a_successor_that_fails_leaves_the_workers_as_they_were(place: Place) -> None:
    def offset_at(server: Running) -> int:
        return int(server.ask("POST", "/api/publish", {"channel": "c", "data": 1})[1]["result"]["offset"])

    old = place.start("2")
    place.wait_started(old, "2")
    assert offset_at(old) == 1
    break_off_in_the_middle(place.socket)
    old.wait_for("takeover_failed")
    assert offset_at(old) == 2
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        grpc = {"enabled": True, "address": "127.0.0.1", "port": holder.getsockname()[1]}
        failing = place.start("2", grpc_api=grpc)
        assert failing.process.wait(START_SECONDS) == 1
        assert "cannot listen" in failing.log_path.read_text()
    old.wait_for_times("takeover_failed", 2)
    place.wait_for_pid(old)
    assert [offset_at(old) for _ in range(4)] == [3, 4, 5, 6]
    new = place.start("2")
    new.wait_for("taken_over")
    assert old.process.wait(START_SECONDS) == 0
    assert offset_at(new) == 7
    new.process.terminate()
    assert new.process.wait(START_SECONDS) == 0
    assert not place.socket.exists()


def test_clients_of_the_old_workers_are_still_reached(place: Place) -> None:
    """What the new server publishes gets to them without a recovery, and the API has them disconnected."""

    async def scene() -> None:
        old = place.start("2", shutdown=LONG_DRAIN)
        await asyncio.to_thread(place.wait_started, old, "2")
        clients = [await subscribe(place.port) for _ in range(6)]
        new = place.start("2")
        await asyncio.to_thread(new.wait_for_times, '"listening"', 2)
        limit = time.monotonic() + START_SECONDS
        while len(new.ask("POST", "/api/info", {})[1]["result"]["nodes"]) < 2:
            assert time.monotonic() < limit
        assert new.ask("POST", "/api/publish", {"channel": "c0", "data": "news"})[0] == 200
        assert new.ask("POST", "/api/disconnect", {"user": ""})[1] == {"result": {}}
        ends = [await read_to_the_end(client) for client in clients]
        told = [text for code, text in ends if code == 3503]  # one of each worker was told at once to go elsewhere
        assert len(told) >= len(clients) - 2, ends
        assert all("news" in text for text in told), ends
        assert await asyncio.to_thread(old.process.wait, START_SECONDS) == 0, "there is nobody to say goodbye to any more"

    asyncio.run(scene())


async def subscribe(port: int) -> ClientConnection:
    connection = await connect(f"ws://127.0.0.1:{port}/connection/websocket")
    await connection.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"c0"}}')
    while '"subscribe":{' not in str(await connection.recv()):
        pass
    return connection


async def read_to_the_end(connection: ClientConnection) -> tuple[int, str]:
    """Returns the code by which the server closes the connection, and all that came before."""
    text = ""
    try:
        while True:
            text += str(await asyncio.wait_for(connection.recv(), START_SECONDS))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code, text


@pytest.mark.parametrize("stopped", [False, True], ids=["predecessor goes", "stopped"])
def test_a_server_that_cannot_take_over_does_not_begin(place: Place, stopped: bool) -> None:
    """The test is the predecessor: it hands sockets over, but nothing else."""
    with socket.socket(socket.AF_UNIX) as meeting, socket.socket() as listening:
        meeting.bind(str(place.socket))
        meeting.listen()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", place.port))
        listening.listen()
        new = place.start("2")
        meeting.settimeout(START_SECONDS)
        with meeting.accept()[0] as connection:
            greet(connection, {("127.0.0.1", place.port): [listening.fileno()]})
            connection.settimeout(START_SECONDS)
            assert connection.recv(10) == READY
            with socket.create_connection(("127.0.0.1", place.port)):
                listening.settimeout(START_SECONDS)
                listening.accept()[0].close()  # nobody else has accepted it
            if stopped:
                new.process.terminate()
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(10) == b""
        assert new.process.wait(START_SECONDS) == 1
    log = new.log_path.read_text()
    assert ("did not hand over" in log) is not stopped
    assert "listening" not in log
    assert not (place.folder / "pid").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_stops_does_not_hand_over(place: Place, workers: str) -> None:
    old = place.start(workers, shutdown=LONG_DRAIN)
    place.wait_started(old, workers)
    connection, sockets, _ = meet(str(place.socket))
    connection.close()
    (listening,) = sockets.values()
    assert len(listening) == int(workers)
    for sock in listening:
        sock.close()
    caller = http.client.HTTPConnection("127.0.0.1", place.port, timeout=START_SECONDS)
    assert publish(caller) == (1, None)
    old.process.terminate()
    old.wait_for_times('"stopping"', int(workers))
    assert not place.socket.exists()
    new = place.start("2")
    new.wait_for_times('"listening"', 2)
    assert publish(caller) == (2, "close"), "the old one still serves those who are connected, and tells them to go"
    assert old.process.wait(START_SECONDS) == 0, "and waits for nobody else"
    assert publish(caller) == (1, None)
    caller.close()


def publish(caller: http.client.HTTPConnection) -> tuple[int, str | None]:
    """Returns the offset and what the answer says of the connection."""
    caller.request("POST", "/api/publish", json.dumps({"channel": "c", "data": 1}), {"X-API-Key": "key"})
    response = caller.getresponse()
    return int(json.loads(response.read())["result"]["offset"]), response.headers["Connection"]
