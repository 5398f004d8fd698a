"""The server as a process: start, signals, two ports, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import websockets.asyncio.client
from free_ports import free_port
from websockets.exceptions import ConnectionClosed

START_SECONDS = 20.0


class Running:
    """A server process with a configuration file."""

    command: ClassVar[tuple[str, ...]] = ("-m", "centripetal")

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.port = free_port()
        self.path = folder / "config.json"
        self.log_path = folder / "log"
        self.write({"http_server": {"address": "127.0.0.1", "port": self.port}, "health": {"enabled": True}} | config)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command, "-c", str(self.path)], stdout=log, stderr=log, cwd=folder
            )

    def write(self, config: dict[str, Any]) -> None:
        self.path.write_text(json.dumps(config))

    def wait_started(self) -> None:
        self.wait_for("listening")

    def wait_for(self, text: str) -> None:
        """Waits until the log has a text."""
        self.wait_for_times(text, 1)

    def wait_for_times(self, text: str, times: int) -> None:
        """Waits until the log has a text so many times."""
        limit = time.monotonic() + START_SECONDS
        while self.log_path.read_text().count(text) < times:
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < limit, self.log_path.read_text()
            time.sleep(0.02)

    def wait_for_file(self, path: Path, content: str | None = None) -> None:
        """Waits until a file is there, and has a content. Those of the process id and for a takeover come after the ports."""
        limit = time.monotonic() + START_SECONDS
        while not path.exists() or (content is not None and path.read_text() != content):
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < limit, self.log_path.read_text()
            time.sleep(0.02)

    def ask(
        self, method: str, path: str, body: Any = None, port: int | None = None, key: str = "key", timeout: float = START_SECONDS
    ) -> tuple[int, Any]:
        """Makes a request; returns the status and the parsed body (None when it is not JSON)."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"X-API-Key": key})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        with contextlib.suppress(ValueError):
            return response.status, json.loads(text)
        return response.status, None


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    running: list[Running] = []

    def start(config: dict[str, Any]) -> Running:
        server = Running(tmp_path, config)
        running.append(server)
        return server

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


OPEN = {
    "client": {"allow_anonymous_connect_without_token": True},
    "http_api": {"key": "key"},
    "channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}},
}


def test_sigterm_says_goodbye_to_every_client(run: Any) -> None:
    server = run(OPEN | {"pid_file": "server.pid"})
    server.wait_started()
    server.wait_for_file(server.path.parent / "server.pid", str(server.process.pid))

    async def scene() -> list[int]:
        clients = []
        for _ in range(20):
            client = await websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket")
            await client.send('{"id":1,"connect":{}}')
            await client.recv()
            clients.append(client)
        os.kill(server.process.pid, signal.SIGTERM)
        codes = []
        for client in clients:
            with pytest.raises(ConnectionClosed) as caught:
                await asyncio.wait_for(client.recv(), START_SECONDS)
            assert caught.value.rcvd is not None
            codes.append(caught.value.rcvd.code)
        return codes

    assert asyncio.run(scene()) == [3001] * 20
    assert server.process.wait(START_SECONDS) == 0
    assert not (server.path.parent / "server.pid").exists()


def test_a_client_that_does_not_close_cannot_hold_the_shutdown(run: Any) -> None:
    server = run(OPEN | {"shutdown": {"timeout": "2s"}})
    server.wait_started()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b"101" in client.recv(1000)
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(START_SECONDS) in (0, 1)


def connect_code(server: Running, **headers: str) -> int:
    """Returns the status of an opening handshake, 101 when it succeeds."""

    async def scene() -> int:
        url = f"ws://127.0.0.1:{server.port}/connection/websocket"
        try:
            async with websockets.asyncio.client.connect(url, additional_headers=headers) as client:
                await client.send('{"id":1,"connect":{}}')
                await client.recv()
        except websockets.exceptions.InvalidStatus as error:
            return error.response.status_code
        return 101

    return asyncio.run(scene())


def reload(server: Running, config: dict[str, Any], log: Path | None = None) -> None:
    """Reloads another configuration, and waits until the log says so."""
    log = log or server.log_path
    before = log.read_text().count('"reloaded"') if log.exists() else 0
    server.write(config)
    os.kill(server.process.pid, signal.SIGHUP)
    limit = time.monotonic() + START_SECONDS
    while not log.exists() or log.read_text().count('"reloaded"') == before:
        assert time.monotonic() < limit, server.log_path.read_text()
        time.sleep(0.02)


def test_sighup_applies_limits_origins_keys_transports_and_the_log_level(run: Any, tmp_path: Path) -> None:
    server = run(OPEN)
    server.wait_started()
    config = json.loads(server.path.read_text())

    async def scene() -> None:
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket") as client:
            await client.send('{"id":1,"connect":{}}')
            await client.recv()
            origin = "https://app.example"
            assert await asyncio.to_thread(connect_code, server, Origin=origin) == 403
            config["client"] |= {"allowed_origins": [origin]}
            config["log"] = {"level": "debug", "file": "moved"}
            config["http_api"]["key"] = "other"
            config["uni_sse"] = {"enabled": True}
            await asyncio.to_thread(reload, server, config, tmp_path / "moved")
            assert await asyncio.to_thread(connect_code, server, Origin=origin) == 101
            assert server.ask("POST", "/api/info", {})[0] == 401
            assert server.ask("POST", "/api/info", {}, key="other")[0] == 200
            assert server.ask("GET", "/connection/uni_sse?cf_connect=%5B")[0] == 400
            config["client"]["connection_limit"] = 1
            await asyncio.to_thread(reload, server, config, tmp_path / "moved")
            assert await asyncio.to_thread(connect_code, server, Origin=origin) == 503
            await client.send('{"id":2,"ping":{}}')  # the connection from before lives on, and is answered
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), START_SECONDS)

    asyncio.run(scene())


def test_sighup_says_what_needs_a_restart_and_applies_the_rest(run: Any) -> None:
    server = run(OPEN)
    server.wait_started()
    config = json.loads(server.path.read_text())
    config["http_server"]["port"] += 1
    config["node"] = {"name": "other"}
    config["channel"]["namespaces"] = [{"name": "room"}]
    reload(server, config)
    (line,) = [json.loads(line) for line in server.log_path.read_text().splitlines() if "reload_incomplete" in line]
    assert line["options"] == ["http_server.port", "node.name"]
    assert server.ask("POST", "/api/publish", {"channel": "room:x", "data": {}}) == (200, {"result": {}})


def test_sighup_applies_channels_and_keeps_the_old_configuration_on_a_mistake(run: Any) -> None:
    server = run(OPEN)
    server.wait_started()
    message = {"channel": "room:x", "data": {}}
    assert server.ask("POST", "/api/publish", message) == (200, {"error": {"code": 102, "message": "unknown channel"}})
    config = json.loads(server.path.read_text())
    config["channel"]["namespaces"] = [{"name": "room"}]
    server.write(config)
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_for('"reloaded"')
    assert server.ask("POST", "/api/publish", message) == (200, {"result": {}})
    config["channel"]["namespaces"] = [{"name": "room"}, {"name": "room"}]
    server.write(config)
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_for("reload_refused")
    assert server.ask("POST", "/api/publish", message) == (200, {"result": {}})


def test_the_internal_port_has_what_is_not_for_clients(run: Any) -> None:
    internal = free_port()
    server = run(OPEN | {"prometheus": {"enabled": True}})
    server.process.kill()
    server.process.wait()
    config = json.loads(server.path.read_text())
    config["http_server"]["internal_port"] = str(internal)
    server.write(config)
    with server.log_path.open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "centripetal", "-c", str(server.path)], stdout=log, stderr=log
        )
    server.wait_for('"internal"')
    for path, method in (("/health", "GET"), ("/metrics", "GET"), ("/api/info", "POST")):
        assert server.ask(method, path, {}, port=internal)[0] == 200
        assert server.ask(method, path, {})[0] == 404
    assert server.ask("GET", "/connection/websocket", port=internal)[0] == 404


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"http_server": {"port": "abc"}}, "http_server.port"),
        ({"engine": {"type": "floppy"}}, "engine.type"),
        ({"consumers": [{"name": "one", "enabled": True, "type": "kafka"}]}, "consumers"),
        ({"client": {"ping_interval": "5s", "pong_timeout": "8s"}}, "ping_interval"),
        ({"client": {"token": {"rsa_public_key": "no key"}}}, "rsa_public_key"),
    ],
)
def test_a_bad_configuration_is_one_readable_line(run: Any, config: dict[str, Any], said: str) -> None:
    server = run(config)
    assert server.process.wait(START_SECONDS) == 1
    lines = [line for line in server.log_path.read_text().splitlines() if "starting" not in line]
    assert len(lines) == 1 and said in lines[0] and "Traceback" not in lines[0]


def test_a_port_in_use_is_one_readable_line(run: Any, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = run({"http_server": {"address": "127.0.0.1", "port": holder.getsockname()[1]}})
        assert server.process.wait(START_SECONDS) == 1
    text = server.log_path.read_text()
    assert "start_failed" in text and "Traceback" not in text


def test_an_internal_address_alone_makes_a_listener_of_its_own(run: Any) -> None:
    server = run(OPEN)
    server.process.kill()
    server.process.wait()
    config = json.loads(server.path.read_text())
    config["http_server"] |= {"internal_address": "127.0.0.2"}
    server.write(config)
    with server.log_path.open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "centripetal", "-c", str(server.path)], stdout=log, stderr=log
        )
    server.wait_for_times('"listening"', 2)
    assert server.ask("POST", "/api/info", {})[0] == 404
    connection = http.client.HTTPConnection("127.0.0.2", server.port, timeout=START_SECONDS)
    connection.request("POST", "/api/info", "{}", {"X-API-Key": "key"})
    assert connection.getresponse().status == 200
    connection.close()
