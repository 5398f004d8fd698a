"""A second process takes over from the first, under load: nothing published is lost, no publish fails."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import websockets.asyncio.client
from free_ports import free_port
from test_lifecycle import OPEN, START_SECONDS, Running
from websockets.exceptions import ConnectionClosed

from centripetal.engines.local import VERSION
from centripetal.server.meeting import meet
from centripetal.server.takeover import READY

CLIENTS = int(os.environ.get("TAKEOVER_CLIENTS", "40"))
DRAIN_SECONDS = 2.0
CHANNELS = 5
PAUSE_SECONDS = CLIENTS / 20_000
"""Between publications, so that the subscribers in this process keep up."""

CONFIG = OPEN | {
    "shutdown": {"drain_time": f"{DRAIN_SECONDS}s"},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
            "allow_publish_for_subscriber": True,
            "allow_publish_for_anonymous": True,
            "history_size": 1000,
            "history_ttl": "600s",
            "force_recovery": True,
            "presence": True,
            "allow_presence_for_subscriber": True,
            "allow_presence_for_anonymous": True,
        },
        "namespaces": [{"name": "map", "subscription_type": "map", "map": {"mode": "persistent"}}],
    },
}


class Subscriber:
    """Reconnects and recovers like an SDK; checks that offsets come without a hole or a repetition."""

    def __init__(self, url: str, channel: str) -> None:
        self.url = url
        self.channel = channel
        self.offset = 0
        self.epoch = ""
        self.data: list[int] = []
        self.closed_at: list[float] = []
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self.session()
            except ConnectionClosed as closed:
                assert closed.rcvd is not None and closed.rcvd.code == 3001, closed
                self.closed_at.append(time.monotonic())

    async def session(self) -> None:
        async with websockets.asyncio.client.connect(self.url, open_timeout=START_SECONDS) as socket:
            wish: dict[str, Any] = {"channel": self.channel}
            if self.epoch:
                wish |= {"recover": True, "offset": self.offset, "epoch": self.epoch}
            await socket.send(json.dumps({"id": 1, "connect": {}}) + "\n" + json.dumps({"id": 2, "subscribe": wish}))
            async for text in socket:
                for line in str(text).split("\n"):
                    self.take(json.loads(line))

    def take(self, message: dict[str, Any]) -> None:
        if "subscribe" in message:
            result = message["subscribe"]
            assert not self.epoch or (result["recovered"] and result["epoch"] == self.epoch), result
            self.epoch = result["epoch"]
            for publication in result.get("publications", ()):
                self.take_publication(publication)
            self.subscribed.set()
        elif "push" in message:
            assert "pub" in message["push"], message
            self.take_publication(message["push"]["pub"])

    def take_publication(self, publication: dict[str, Any]) -> None:
        assert publication["offset"] == self.offset + 1, (publication["offset"], self.offset)
        self.offset += 1
        self.data.append(publication["data"])


class Publisher:
    """Publishes over a connection that it keeps, as a backend does; any failure is one of the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        self.published = [0] * CHANNELS
        self.connections = 1
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            for channel in range(CHANNELS):
                body = json.dumps({"channel": f"c{channel}", "data": self.published[channel]})
                self.connection.request("POST", "/api/publish", body, {"X-API-Key": "key"})
                response = self.connection.getresponse()
                answer = json.loads(response.read())
                assert response.status == 200 and answer["result"]["offset"] == self.published[channel] + 1, answer
                self.published[channel] += 1
                if response.headers["Connection"] == "close":
                    self.connections += 1
            time.sleep(PAUSE_SECONDS)

    async def wait_more(self, count: int) -> None:
        """Waits until so many more have been published in each channel."""
        wanted = self.published[-1] + count
        limit = time.monotonic() + START_SECONDS
        while self.published[-1] < wanted:
            assert time.monotonic() < limit
            await asyncio.sleep(0.01)


def ask_presence(port: int, channel: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    connection.request("POST", "/api/presence_stats", json.dumps({"channel": channel}), {"X-API-Key": "key"})
    return int(json.loads(connection.getresponse().read())["result"]["num_clients"])


def start(folder: Path, name: str, port: int, config: dict[str, Any]) -> Running:
    own = folder / name
    own.mkdir()
    server = {"address": "127.0.0.1", "port": port, "takeover_socket": str(folder / "takeover")}
    running = Running(own, config | {"http_server": server})
    running.port = port
    return running


def break_off_in_the_middle(path: Path) -> None:
    """Begins to take over, and goes when the first of the state comes."""
    connection, sockets, _ = meet(str(path))
    with connection:
        connection.setblocking(True)
        connection.sendall(READY)
        assert connection.recv(1)
    for listening in itertools.chain.from_iterable(sockets.values()):
        listening.close()


def test_nothing_is_lost_and_nobody_is_dropped_at_once(tmp_path: Path) -> None:
    port = free_port()
    servers = [start(tmp_path, "old", port, CONFIG)]

    async def takeover(publisher: Publisher) -> None:
        await publisher.wait_more(20)
        await asyncio.to_thread(servers[0].wait_for_file, tmp_path / "takeover")
        servers.append(start(tmp_path, "new", port, CONFIG))
        await asyncio.to_thread(servers[1].wait_for, "taken_over")
        assert await asyncio.to_thread(servers[0].process.wait, START_SECONDS) == 0
        await publisher.wait_more(20)

    async def scene() -> None:
        await asyncio.to_thread(servers[0].wait_for, '"listening"')
        url = f"ws://127.0.0.1:{port}/connection/websocket"
        subscribers = [Subscriber(url, f"c{number % CHANNELS}") for number in range(CLIENTS)]
        sessions = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
        for subscriber in subscribers:
            await asyncio.wait_for(subscriber.subscribed.wait(), START_SECONDS)
        publisher = Publisher(port)
        publishing = asyncio.create_task(asyncio.to_thread(publisher.run))
        try:
            await takeover(publisher)
        finally:
            publisher.stopping = True
        await publishing
        for subscriber in subscribers:
            expected = list(range(publisher.published[int(subscriber.channel[1:])]))
            limit = time.monotonic() + START_SECONDS
            while subscriber.data != expected:
                assert time.monotonic() < limit, (len(subscriber.data), len(expected))
                await asyncio.sleep(0.02)
            assert len(subscriber.closed_at) == 1
        closed = sorted(subscriber.closed_at[0] for subscriber in subscribers)
        gaps = [later - earlier for earlier, later in itertools.pairwise(closed)]
        assert closed[-1] - closed[0] > DRAIN_SECONDS / 2
        assert max(gaps) < DRAIN_SECONDS
        assert publisher.connections == 2
        assert ask_presence(port, "c0") == CLIENTS // CHANNELS
        for task in [*sessions]:
            task.cancel()
        for outcome in await asyncio.gather(*sessions, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome

    try:
        asyncio.run(scene())
        os.kill(servers[1].process.pid, signal.SIGTERM)
        assert servers[1].process.wait(START_SECONDS) == 0
        assert not (tmp_path / "takeover").exists()
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()


def test_a_successor_that_fails_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    port = free_port()
    old = start(tmp_path, "old", port, CONFIG)
    try:
        old.wait_for_file(tmp_path / "takeover")
        message = {"channel": "c", "data": 1}
        assert old.ask("POST", "/api/publish", message)[1]["result"]["offset"] == 1
        value = {"channel": "map:x", "key": "k", "data": {"n": 1}}
        written = old.ask("POST", "/api/map_publish", value)[1]["result"]
        assert written["epoch"], written
        with socket.socket(socket.AF_UNIX) as intruder:  # gets the sockets and says nothing more
            intruder.connect(str(tmp_path / "takeover"))
            intruder.sendall(json.dumps({"version": VERSION, "pid": 1}).encode() + b"\n")
            data, numbers, _, _ = socket.recv_fds(intruder, 65536, 16)
            assert json.loads(data)["listeners"][0]["port"] == port
            for number in numbers:
                os.close(number)
        old.wait_for_times("takeover_failed", 1)
        break_off_in_the_middle(tmp_path / "takeover")
        old.wait_for_times("takeover_failed", 2)
        assert old.ask("POST", "/api/publish", message)[1]["result"]["offset"] == 2
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(tmp_path / "takeover"))
            stranger.sendall(b'{"version": 99}\n')
            assert "99" in json.loads(stranger.recv(65536))["error"]
        new = start(tmp_path, "new", port, CONFIG)
        try:
            new.wait_for("taken_over")
            assert old.process.wait(START_SECONDS) == 0
            assert new.ask("POST", "/api/publish", message)[1]["result"]["offset"] == 3
            state = new.ask("POST", "/api/map_read_state", {"channel": "map:x", "limit": 10})[1]["result"]
            assert state["epoch"] == written["epoch"]
            assert [(each["key"], each["data"]) for each in state["entries"]] == [("k", {"n": 1})]
        finally:
            new.process.kill()
            new.process.wait()
    finally:
        old.process.kill()
        old.process.wait()
