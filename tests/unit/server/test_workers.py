"""Several workers behind one port: one server to everybody, whichever of them dies."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import websockets.asyncio.client
from test_lifecycle import OPEN, START_SECONDS, Running
from websockets.exceptions import ConnectionClosed, InvalidStatus

CONFIG = OPEN | {
    "workers": "3",
    "health": {"enabled": True},
    "prometheus": {"enabled": True},
    "http_stream": {"enabled": True},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
            "history_size": 100,
            "history_ttl": "600s",
            "force_recovery": True,
            "presence": True,
        }
    },
}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where servers put their temporary files; paths of Unix sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="ct") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[Running]:
    running = Running(tmp_path, CONFIG)
    server = {"address": "127.0.0.1", "port": running.port}
    assert json.loads(running.path.read_text())["http_server"] == server
    running.wait_for_times('"listening"', 3)
    yield running
    running.process.kill()
    running.process.wait()


def children(server: Running) -> dict[str, int]:
    """Returns the processes by what they are: the engine, and the workers by number."""
    pid = server.process.pid
    pids = sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    log = server.log_path.read_text()
    engines = [int(pid) for pid in re.findall(r'"pid":(\d+)[^\n]*"message":"engine_started"', log)]
    (engine,) = set(engines) & set(pids)
    return {"engine": engine} | {f"worker {number}": pid for number, pid in enumerate(p for p in pids if p != engine)}


class Client:
    """One connection that subscribes to a channel, and comes back when told to."""

    def __init__(self, server: Running) -> None:
        self.url = f"ws://127.0.0.1:{server.port}/connection/websocket"
        self.offset = 0
        self.epoch = ""
        self.data: list[int] = []
        self.recovered: list[bool] = []
        self.subscribed = asyncio.Event()
        self.codes: list[int] = []

    async def run(self) -> None:
        while True:
            try:
                await self.session()
            except (ConnectionClosed, OSError):
                await asyncio.sleep(0.05)

    async def session(self) -> None:
        async with websockets.asyncio.client.connect(self.url) as socket:
            wish: dict[str, Any] = {"channel": "c"}
            if self.epoch:
                wish |= {"recover": True, "offset": self.offset, "epoch": self.epoch}
            await socket.send(json.dumps({"id": 1, "connect": {}}) + "\n" + json.dumps({"id": 2, "subscribe": wish}))
            async for text in socket:
                for line in str(text).split("\n"):
                    message = json.loads(line)
                    push = message.get("push", {})
                    if "subscribe" in message:
                        self.take_subscribed(message["subscribe"])
                    elif "pub" in push:
                        self.take(push["pub"])
                    elif "unsubscribe" in push:
                        self.codes.append(push["unsubscribe"]["code"])
                        return

    def take_subscribed(self, result: dict[str, Any]) -> None:
        if self.epoch:
            self.recovered.append(result.get("recovered", False))
        if result["epoch"] != self.epoch:
            self.epoch, self.offset, self.data = result["epoch"], result.get("offset", 0), []
        for publication in result.get("publications", ()):
            self.take(publication)
        self.subscribed.set()

    def take(self, publication: dict[str, Any]) -> None:
        assert publication["offset"] == self.offset + 1
        self.offset += 1
        self.data.append(publication["data"])


async def eventually(condition: Any, what: str) -> None:
    limit = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.02)


async def subscribed(server: Running, count: int) -> AsyncIterator[list[Client]]:
    clients = [Client(server) for _ in range(count)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        for client in clients:
            await asyncio.wait_for(client.subscribed.wait(), START_SECONDS)
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


def publish(server: Running, data: int) -> dict[str, Any]:
    status, answer = server.ask("POST", "/api/publish", {"channel": "c", "data": data})
    assert status == 200
    return dict(answer["result"])


def scrape(server: Running) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as response:
        return str(response.read().decode())


def test_all_workers_are_one_server(server: Running) -> None:
    async def scene() -> None:
        async for clients in subscribed(server, 12):
            for number in range(20):
                publish(server, number)
            for client in clients:
                await eventually(lambda client=client: client.data == list(range(20)), "everybody gets everything")
            (node,) = server.ask("POST", "/api/info", {})[1]["result"]["nodes"]
            assert (node["num_clients"], node["num_users"], node["num_channels"], node["num_subs"]) == (12, 1, 1, 12)
            channels = server.ask("POST", "/api/channels", {})[1]["result"]["channels"]
            assert channels == {"c": {"num_clients": 12}}
            stats = server.ask("POST", "/api/presence_stats", {"channel": "c"})[1]["result"]
            assert stats == {"num_clients": 12, "num_users": 1}
            metrics = await asyncio.to_thread(scrape, server)
            assert "\ncentrifugo_node_num_clients 12\n" in metrics
            assert "\ncentrifugo_node_num_nodes 1\n" in metrics
            sent = re.search(r'transport_messages_sent\{[^}]*push_publication[^}]*websocket[^}]*\} (\d+)', metrics)
            assert sent is not None and int(sent[1]) == 240
            assert server.ask("POST", "/api/disconnect", {"user": ""})[0] == 200

    asyncio.run(scene())


def test_workers_share_most_of_their_memory(server: Running) -> None:
    for name, pid in children(server).items():
        sizes = dict(re.findall(r"(\w+): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text()))
        assert int(sizes["Private_Dirty"]) < 0.6 * int(sizes["Shared_Dirty"]), (name, sizes)


def test_commands_over_http_reach_the_worker_that_has_the_stream(server: Running) -> None:
    async def scene() -> None:
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = json.dumps({"id": 1, "connect": {}}).encode()
            writer.write(b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readline()
            connect = json.loads(await reader.readline())["connect"]
            command = json.dumps({"id": 2, "subscribe": {"channel": "c"}})
            request = {"session": connect["session"], "node": connect["node"], "data": command}
            assert (await asyncio.to_thread(server.ask, "POST", "/emulation", request))[0] == 204
            while True:
                line = await asyncio.wait_for(reader.readline(), START_SECONDS)
                if b'"subscribe"' in line:
                    break
            forged = request | {"session": "00" + connect["session"][2:-1] + "x"}
            assert (await asyncio.to_thread(server.ask, "POST", "/emulation", forged))[0] == 204
            assert (await asyncio.to_thread(server.ask, "POST", "/emulation", request | {"node": "x"}))[0] == 404
            writer.close()

    asyncio.run(scene())


def test_a_worker_that_is_killed_costs_only_its_own_connections(server: Running) -> None:
    async def scene() -> None:
        # The kernel chooses a worker for each by chance: with so many no worker is left out.
        async for clients in subscribed(server, 40):
            processes = children(server)
            publish(server, 0)
            os.kill(processes["worker 0"], signal.SIGKILL)
            for number in range(1, 30):
                await asyncio.to_thread(publish_somewhere, server, number)
            for client in clients:
                await eventually(lambda client=client: client.data == list(range(30)), "nothing is lost")
            assert all(all(client.recovered) for client in clients)
            assert 0 < sum(len(client.recovered) for client in clients) < 40
            await asyncio.to_thread(server.wait_for_times, '"listening"', 4)
            new = children(server)
            assert set(new.values()) - set(processes.values()) and len(new) == 4

    asyncio.run(scene())


def publish_somewhere(server: Running, data: int) -> None:
    """Publishes; a connection that met the worker which was just killed is tried again, as it was never read."""
    while True:
        try:
            publish(server, data)
            return
        except (ConnectionError, OSError):
            time.sleep(0.05)


def count_present(server: Running) -> int:
    return int(server.ask("POST", "/api/presence_stats", {"channel": "c"})[1]["result"]["num_clients"])


def publish_again(server: Running, data: int) -> dict[str, Any]:
    """Publishes, again if it was on its way to an engine that died."""
    while True:
        status, answer = server.ask("POST", "/api/publish", {"channel": "c", "data": data}, timeout=START_SECONDS)
        if status == 200 and "result" in answer:
            return dict(answer["result"])
        assert answer["error"]["code"] == 100


def test_workers_go_on_with_a_new_engine_and_clients_learn_that_the_old_streams_are_gone(server: Running) -> None:
    async def scene() -> None:
        async for clients in subscribed(server, 6):
            epoch = publish(server, 0)["epoch"]
            for client in clients:
                await eventually(lambda client=client: client.data == [0], "it works")
            os.kill(children(server)["engine"], signal.SIGKILL)
            result = await asyncio.to_thread(publish_again, server, 1)
            new_epoch = result["epoch"]
            assert new_epoch != epoch
            for client in clients:
                await eventually(lambda client=client, epoch=epoch: client.epoch != epoch, "clients learn of it")
                assert client.epoch == new_epoch
                assert client.codes == [2500]
                assert client.recovered == [False]
            await asyncio.to_thread(publish_again, server, 2)
            for client in clients:
                await eventually(lambda client=client: client.data[-1:] == [2], "and go on")
            await eventually(lambda: count_present(server) == 6, "and are present again")

    asyncio.run(scene())


def test_an_engine_that_does_not_answer_is_noticed_and_found_again(server: Running) -> None:
    async def scene() -> None:
        async for clients in subscribed(server, 6):
            epoch = publish(server, 0)["epoch"]
            engine = children(server)["engine"]
            os.kill(engine, signal.SIGSTOP)
            status, answer = await asyncio.to_thread(server.ask, "POST", "/api/publish", {"channel": "c", "data": -1}, timeout=START_SECONDS)
            assert (status, answer["error"]["code"]) == (200, 100), "whoever asks does not wait for ever"
            os.kill(engine, signal.SIGCONT)
            await asyncio.to_thread(server.wait_for_times, "engine_found", 1)
            result = await asyncio.to_thread(publish_again, server, 1)
            assert result["epoch"] == epoch
            for client in clients:
                # The publication that was refused was on its way already when the engine stopped.
                await eventually(lambda client=client: client.data in ([0, -1, 1], [0, 1]), "nothing is lost")

    asyncio.run(scene())


class Impatient(Running):
    """A server that gives processes up after six seconds instead of thirty."""

    command = (
        "-c",
        "from centripetal.server import pulses; pulses.CHECK_SECONDS = 1.0; from centripetal.cli.main import main; main()",
    )


def test_processes_that_do_nothing_any_more_are_replaced(tmp_path: Path, folder: Path) -> None:
    async def scene() -> None:
        server = Impatient(tmp_path, CONFIG)
        try:
            await asyncio.to_thread(server.wait_for_times, '"listening"', 3)
            async for clients in subscribed(server, 12):
                processes = children(server)
                os.kill(processes["worker 0"], signal.SIGSTOP)
                await asyncio.to_thread(server.wait_for_times, '"listening"', 4)
                os.kill(processes["engine"], signal.SIGSTOP)
                await asyncio.to_thread(server.wait_for_times, '"engine_started"', 2)
                epoch = (await asyncio.to_thread(publish_again, server, 1))["epoch"]
                for client in clients:
                    await eventually(lambda client=client, epoch=epoch: client.epoch == epoch, "clients learn of the new engine")
                await asyncio.to_thread(publish_again, server, 2)
                for client in clients:
                    await eventually(lambda client=client: client.data[-1:] == [2], "and go on")
            log = server.log_path.read_text()
            assert re.findall(r'"process":"([^"]+)"[^\n]*"process_silent"', log) == ["worker 0", "engine"]
        finally:
            server.process.kill()
            server.process.wait()

    asyncio.run(scene())


def test_a_worker_that_does_nothing_any_more_does_not_hold_the_shutdown(tmp_path: Path, folder: Path) -> None:
    server = Running(tmp_path, CONFIG | {"shutdown": {"timeout": "1s"}})
    try:
        server.wait_for_times('"listening"', 3)
        processes = children(server)
        os.kill(processes["worker 1"], signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(START_SECONDS) == 1
        assert all_gone(processes)
        assert os.listdir(folder) == []
    finally:
        server.process.kill()
        server.process.wait()


async def come(server: Running, count: int) -> int:
    """Returns how many of so many connections are let in; they stay."""

    async def enter() -> bool:
        try:
            await websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket")
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 503
            return False
        return True

    return sum(await asyncio.gather(*(enter() for _ in range(count))))


def test_the_connection_rate_is_that_of_all_workers_together(tmp_path: Path, folder: Path) -> None:
    async def scene() -> None:
        def config(rate: int) -> dict[str, Any]:
            return CONFIG | {"workers": "2", "client": OPEN["client"] | {"connection_rate_limit": rate}}

        server = Running(tmp_path, config(10))
        address = {"http_server": {"address": "127.0.0.1", "port": server.port}}
        try:
            server.wait_for_times('"listening"', 2)
            started = time.monotonic()
            let_in = await come(server, 40)
            assert 10 <= let_in <= 10 + (time.monotonic() - started)
            server.write(config(14) | address)
            started = time.monotonic()
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(server.wait_for_times, '"reloaded"', 2)
            let_in = await come(server, 40)
            assert 14 <= let_in <= 14 + (time.monotonic() - started)
            # A worker that is started anew has the new rate too, and no burst of its own.
            os.kill(children(server)["worker 0"], signal.SIGKILL)
            await asyncio.to_thread(server.wait_for_times, '"listening"', 3)
            assert let_in + await come(server, 40) <= 14 + (time.monotonic() - started)
        finally:
            server.process.kill()
            server.process.wait()

    asyncio.run(scene())


def test_a_user_has_no_more_connections_than_allowed_however_fast_they_come(tmp_path: Path, folder: Path) -> None:
    async def scene() -> None:
        client = {"user_connection_limit": 3, "token": {"hmac_secret_key": "s" * 32}}
        server = Running(tmp_path, CONFIG | {"client": client})
        url = f"ws://127.0.0.1:{server.port}/connection/websocket"
        token = jwt.encode({"sub": "alice"}, "s" * 32)
        try:
            server.wait_for_times('"listening"', 3)
            sockets = await asyncio.gather(*(websockets.asyncio.client.connect(url) for _ in range(40)))

            async def enter(socket: Any) -> bool:
                try:
                    await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
                    return "connect" in json.loads(await socket.recv())
                except ConnectionClosed:
                    assert socket.close_code == 3504
                    return False

            assert sum(await asyncio.gather(*map(enter, sockets))) == 3
            assert not await enter(await websockets.asyncio.client.connect(url))
        finally:
            server.process.kill()
            server.process.wait()

    asyncio.run(scene())


def test_sigterm_ends_all_of_them(server: Running, folder: Path) -> None:
    processes = children(server)
    assert os.listdir(folder)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(START_SECONDS) == 0
    for pid in processes.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert os.listdir(folder) == []


def all_gone(processes: dict[str, int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in processes.values())


def test_a_supervisor_that_is_killed_leaves_nothing_behind(server: Running, folder: Path) -> None:
    async def scene() -> None:
        processes = children(server)
        sockets = [
            await websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket") for _ in range(6)
        ]
        for socket in sockets:
            await socket.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"c"}}')
        for socket in sockets:
            async for text in socket:
                if '"subscribe"' in str(text):
                    break
        server.process.kill()
        for socket in sockets:
            await asyncio.wait_for(socket.wait_closed(), START_SECONDS)
            assert socket.close_code == 3001
        await eventually(lambda: all_gone(processes), "all processes end")
        assert os.listdir(folder) == []
        # What they held was still there when they said goodbye.
        assert "engine_lost" not in server.log_path.read_text()

    asyncio.run(scene())


def test_a_supervisor_that_is_killed_at_the_start_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    async def scene() -> None:
        server = Running(tmp_path, CONFIG)
        pid = server.process.pid
        started = Path(f"/proc/{pid}/task/{pid}/children")
        limit = time.monotonic() + START_SECONDS
        while not started.read_text():
            assert time.monotonic() < limit
        os.kill(pid, signal.SIGSTOP)
        processes = {child: int(child) for child in started.read_text().split()}
        server.process.kill()
        server.process.wait()
        await eventually(lambda: all_gone(processes), "all processes end")
        assert os.listdir(folder) == []

    asyncio.run(scene())


def test_without_supervisor_and_engine_the_workers_clean_up(server: Running, folder: Path) -> None:
    async def scene() -> None:
        processes = children(server)
        os.kill(server.process.pid, signal.SIGSTOP)
        os.kill(processes["engine"], signal.SIGKILL)
        server.process.kill()
        await eventually(lambda: all_gone(processes), "all processes end")
        assert os.listdir(folder) == []

    asyncio.run(scene())


def test_what_is_left_when_all_are_killed_at_once_is_removed_by_the_next_server(server: Running, folder: Path) -> None:
    processes = children(server)
    for pid in (server.process.pid, *processes.values()):
        os.kill(pid, signal.SIGSTOP)  # none sees another one's end
    for pid in (server.process.pid, *processes.values()):
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    limit = time.monotonic() + START_SECONDS
    while not all_gone(processes):
        assert time.monotonic() < limit
        time.sleep(0.02)
    (left,) = folder.iterdir()
    later = Running(server.path.parent, CONFIG)
    try:
        later.wait_for_times('"listening"', 3)
        (own,) = folder.iterdir()
        assert own != left
        later.process.send_signal(signal.SIGTERM)
        assert later.process.wait(START_SECONDS) == 0
    finally:
        later.process.kill()
        later.process.wait()
    assert os.listdir(folder) == []


def test_a_port_in_use_ends_the_start(tmp_path: Path, folder: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    holder = Running(first, OPEN)
    holder.wait_for('"listening"')
    try:
        config = CONFIG | {"http_server": {"address": "127.0.0.1", "port": holder.port}}
        late = Running(second, config)
        assert late.process.wait(START_SECONDS) == 1
        assert "cannot listen" in late.log_path.read_text()
        assert os.listdir(folder) == []
    finally:
        holder.process.kill()
        holder.process.wait()
