"""HTTP/3 and WebTransport of the server as a process, and what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from test_lifecycle import OPEN, START_SECONDS, Running, run  # noqa: F401  a fixture

from centripetal.config import ConfigError, load, validate

sys.path.append(str(Path(__file__).parent.parent / "transports"))
from quic import make_certificate, quic_client
from quic import run as play

CERTIFICATE, KEY = (pem.decode() for pem in make_certificate())
TLS = {"enabled": True, "cert_pem": CERTIFICATE, "key_pem": KEY}
PATH = "/connection/webtransport"


@pytest.fixture
def server(run: Any) -> Running:  # noqa: F811
    port = free_port()
    config = {
        "http_server": {"address": "127.0.0.1", "port": port, "tls": TLS, "http3": {"enabled": True}},
        "webtransport": {"enabled": True},
        "sse": {"enabled": True},
    }
    started: Running = run(OPEN | config)
    started.port = port
    started.wait_for('"listener":"http3"')
    return started


def test_everything_is_served_on_the_same_port(server: Running) -> None:
    async def scene() -> None:
        async with quic_client(server.port) as client:
            answer = await client.request("GET", "/health")
            assert (answer.status, answer.data) == (200, b"{}") and "alt-svc" not in answer.headers
            session = await client.open_session(PATH)
            session.send(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"news"}}\n')
            await session.wait_data(b'"id":2')
            events = client.stream(client.begin("GET", "/connection/sse?cf_connect=%7B%22id%22:1,%22connect%22:%7B%7D%7D"))
            body = json.dumps({"channel": "news", "data": 5}).encode()
            assert (await client.request("POST", "/api/publish", body)).status == 401
            answer = await client.request("POST", "/api/publish", body, {"x-api-key": "key"})
            assert (answer.status, answer.data) == (200, b'{"result":{}}')
            assert b'"pub":{"data":5}' in await session.wait_data(b'"pub"')
            while b"data: " not in events.data:
                await client.ping()
            assert events.headers["content-type"].startswith("text/event-stream")
            os.kill(server.process.pid, signal.SIGTERM)
            assert b'"disconnect":{"code":3001,"reason":"shutdown"}' in await session.wait_data(b"shutdown")
            session.send(b"", end=True)
            assert await session.wait_closed() == (3001, "shutdown")
            session.close()

    play(scene)
    assert server.process.wait(START_SECONDS) == 0
    assert "Traceback" not in server.log_path.read_text()


def test_tcp_tells_of_it(server: Running) -> None:
    context = ssl.create_default_context(cadata=CERTIFICATE)
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=START_SECONDS, context=context)
    for path in ("/health", "/api/info", "/connection/sse", "/nowhere"):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.headers["Alt-Svc"] == f'h3=":{server.port}"; ma=2592000', path
    connection.close()


def test_a_reload_changes_the_endpoint(server: Running) -> None:
    async def scene() -> None:
        async with quic_client(server.port) as client:
            assert (await client.open_session("/wt")).request.status == 404
            config = json.loads(server.path.read_text())
            server.write(config | {"webtransport": {"enabled": True, "handler_prefix": "/wt"}})
            os.kill(server.process.pid, signal.SIGHUP)
            server.wait_for('"reloaded"')
            assert (await client.open_session("/wt")).request.status == 200
            assert (await client.open_session(PATH)).request.status == 404

    play(scene)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"webtransport": {"enabled": True}}, "webtransport.enabled: needs http_server.http3.enabled"),
        ({"http_server": {"http3": {"enabled": True}}}, "http_server.http3.enabled: needs http_server.tls.enabled"),
        (
            {"http_server": {"http3": {"enabled": True}, "tls": TLS | {"client_ca_pem": CERTIFICATE}}},
            "http_server.http3.enabled: cannot go together with http_server.tls.client_ca_pem",
        ),
    ],
)
def test_what_does_not_start(config: dict[str, Any], text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=text):
        validate(load(str(path), environ={}).config)
