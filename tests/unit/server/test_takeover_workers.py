"""A server with several workers takes over from another one: whatever their numbers are, nothing is lost, and no publish fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_lifecycle import START_SECONDS, Running
from test_takeover import (
    CHANNELS,
    CONFIG,
    Publisher,
    Subscriber,
    ask_presence,
    break_off_in_the_middle,
    free_port,
)
from test_takeover import start as start_with_one

from centripetal.server.meeting import greet, meet
from centripetal.server.takeover import READY

CLIENTS = 20
GENERATIONS = ("1", "2", "3", "2", "1")
"""Numbers of workers."""


class Place:
    """Where the servers of a test are, and those that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = folder / "takeover"
        self.servers: list[Running] = []

    def start(self, workers: str, **options: Any) -> Running:
        config = CONFIG | {"shutdown": {"drain_time": "0.5s"}, "workers": workers, "pid_file": "../pid"} | options
        server = start_with_one(self.folder, f"server {len(self.servers)}", self.port, config)
        self.servers.append(server)
        return server

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for server in place.servers:
        server.process.kill()
        server.process.wait()


def test_nothing_is_lost_whatever_the_numbers_of_workers_are(place: Place) -> None:
    async def take_over(publisher: Publisher, workers: str) -> None:
        old = place.servers[-1]
        await publisher.wait_more(10)
        new = place.start(workers)
        await asyncio.to_thread(new.wait_for, "taken_over")
        assert await asyncio.to_thread(old.process.wait, 20) == 0, old.log_path.read_text()
        assert place.pid == new.process.pid
        await publisher.wait_more(10)

    async def scene() -> None:
        first = place.start(GENERATIONS[0])
        await asyncio.to_thread(first.wait_for_times, '"listening"', int(GENERATIONS[0]))
        url = f"ws://127.0.0.1:{place.port}/connection/websocket"
        subscribers = [Subscriber(url, f"c{number % CHANNELS}") for number in range(CLIENTS)]
        sessions = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
        for subscriber in subscribers:
            await asyncio.wait_for(subscriber.subscribed.wait(), 30)
        publisher = Publisher(place.port)
        publishing = asyncio.create_task(asyncio.to_thread(publisher.run))
        try:
            for workers in GENERATIONS[1:]:
                await take_over(publisher, workers)
        finally:
            publisher.stopping = True
        await publishing
        for subscriber in subscribers:
            expected = list(range(publisher.published[int(subscriber.channel[1:])]))
            limit = time.monotonic() + START_SECONDS
            while subscriber.data != expected:
                assert time.monotonic() < limit, (len(subscriber.data), len(expected))
                await asyncio.sleep(0.02)
        # Whoever comes back while there are two servers may meet the old one again.
        assert all(len(subscriber.closed_at) >= len(GENERATIONS) - 1 for subscriber in subscribers)
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
    def publish(server: Running) -> int:
        return int(server.ask("POST", "/api/publish", {"channel": "c", "data": 1})[1]["result"]["offset"])

    old = place.start("2")
    old.wait_for_times('"listening"', 2)
    assert publish(old) == 1
    break_off_in_the_middle(place.socket)
    old.wait_for("takeover_failed")
    assert publish(old) == 2
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        grpc = {"enabled": True, "address": "127.0.0.1", "port": holder.getsockname()[1]}
        failing = place.start("2", grpc_api=grpc)
        assert failing.process.wait(20) == 1
        assert "cannot listen" in failing.log_path.read_text()
    old.wait_for_times("takeover_failed", 2)
    assert place.pid == old.process.pid
    assert [publish(old) for _ in range(4)] == [3, 4, 5, 6]
    new = place.start("2")
    new.wait_for("taken_over")
    assert old.process.wait(20) == 0
    assert publish(new) == 7
    new.process.terminate()
    assert new.process.wait(20) == 0
    assert not place.socket.exists()


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
        assert new.process.wait(20) == 1
    log = new.log_path.read_text()
    assert ("did not hand over" in log) is not stopped
    assert "listening" not in log
    assert not (place.folder / "pid").exists()


def test_a_server_that_stops_does_not_hand_over(place: Place) -> None:
    old = place.start("2", shutdown={"drain_time": "0s"})
    old.wait_for_times('"listening"', 2)
    connection, sockets = meet(str(place.socket))
    for listening in sockets[("127.0.0.1", place.port)]:
        listening.close()
    assert len(sockets[("127.0.0.1", place.port)]) == 2
    old.process.terminate()
    connection.close()
    assert old.process.wait(20) == 0
    assert not place.socket.exists()
    new = place.start("2")
    new.wait_for_times('"listening"', 2)
    assert json.loads(new.path.read_text())["workers"] == "2"
    assert new.ask("POST", "/api/publish", {"channel": "c", "data": 1})[1]["result"]["offset"] == 1
