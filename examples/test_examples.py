"""The backends of the examples: answers to requests that Centripetal sent, and a whole run with server and client.

`make examples` runs this in an environment of its own; the server is `CENTRIPETAL_SERVER` (`centripetal` when unset).
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django_app
import fastapi_app
import httpx
import pytest

HERE = Path(__file__).parent
RECORDED: list[dict[str, Any]] = json.loads((HERE / "recorded.json").read_text())
APPS = {"fastapi_app:app": fastapi_app.app, "django_app:application": django_app.application}
EVENTS = ("connect", "subscribe", "publish", "rpc")
START_SECONDS = 20.0


def ask(app: Any, path: str, body: Any, headers: Any, method: str = "POST") -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000") as client:
            return await client.request(method, path, content=json.dumps(body), headers=headers)

    return asyncio.run(call())


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one["path"].rpartition("/")[2])
def test_recorded_requests(app: Any, recorded: dict[str, Any]) -> None:
    response = ask(app, recorded["path"], recorded["body"], recorded["headers"])
    assert response.status_code == 200 and response.json() == recorded["answer"]


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@pytest.mark.parametrize("event", EVENTS)
def test_nobody_else_may_ask(app: Any, event: str) -> None:
    recorded = next(one for one in RECORDED if one["path"].endswith(event))
    for secret in ("", "wrong", "\u00e9"):
        headers = httpx.Headers({**recorded["headers"], "x-centripetal-secret": secret}, encoding="latin-1")
        assert ask(app, recorded["path"], recorded["body"], headers).status_code == 403
    without = {name: value for name, value in recorded["headers"].items() if name != "x-centripetal-secret"}
    assert ask(app, recorded["path"], recorded["body"], without).status_code == 403
    assert ask(app, recorded["path"], None, recorded["headers"], "GET").status_code == 405


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.05)


@pytest.fixture(scope="module", params=APPS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Starts a backend and a server that asks it; both on free ports."""
    backend_port, port = free_port(), free_port()
    address = f"http://127.0.0.1:{backend_port}/centripetal"
    options = {
        "HTTP_SERVER_PORT": str(port),
        "CLIENT_PROXY_CONNECT_ENDPOINT": f"{address}/connect",
        "CHANNEL_PROXY_SUBSCRIBE_ENDPOINT": f"{address}/subscribe",
        "CHANNEL_PROXY_PUBLISH_ENDPOINT": f"{address}/publish",
        "RPC_PROXY_ENDPOINT": f"{address}/rpc",
    }
    environment = os.environ | {f"CENTRIPETAL_{name}": value for name, value in options.items()}
    server = shlex.split(os.environ.get("CENTRIPETAL_SERVER") or "centripetal")
    commands = [
        ([sys.executable, "-m", "uvicorn", request.param, "--port", str(backend_port)], backend_port),
        ([*server, "-c", "config.json"], port),
    ]
    with ExitStack() as stack:
        for command, listens in commands:
            process = stack.enter_context(subprocess.Popen(command, cwd=HERE, env=environment))
            stack.callback(process.terminate)
            wait_for(listens, process)
        yield f"ws://127.0.0.1:{port}/connection/websocket"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ("alice", "general", "hello"),
            [
                "connected: {'rooms': ['general', 'staff']}",
                "rooms: ['general', 'staff']",
                "heard: {'text': 'hello', 'from': 'alice'}",
            ],
        ),
        (
            ("bob", "staff", "hello"),
            [
                "connected: {'rooms': ['general']}",
                "not in the room: 103 permission denied",
                "rooms: ['general']",
                "refused: subscription unsubscribed",
            ],
        ),
        (
            ("alice", "staff", ""),
            ["rooms: ['general', 'staff']", "refused: Error 1000: say something short (temporary: False)"],
        ),
        (("mallory", "general", "hello"), ["disconnected: 4501 please log in", "refused: client disconnected"]),
    ],
)
def test_a_client_in_a_room(url: str, arguments: tuple[str, ...], lines: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "client.py", *arguments],
        cwd=HERE,
        env=os.environ | {"CENTRIPETAL_URL": url},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [line for line in printed if line in lines] == lines, printed
