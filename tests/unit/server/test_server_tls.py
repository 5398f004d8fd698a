"""Which listener speaks TLS, and the server as a process with it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import platform
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets.asyncio.client
from free_ports import free_port
from structlog.testing import capture_logs
from test_lifecycle import OPEN, START_SECONDS, Running, run  # noqa: F401  a fixture

from centripetal.cli.local_tls import local_tls
from centripetal.cli.websocket import WebSocketClient
from centripetal.config import ConfigError, load, validate
from centripetal.model.certificates import Certificates
from centripetal.server.tls import ServerTls, give_back_large_buffers
from centripetal.testing import ManualClock
from centripetal.transports.autocert.cache import CertificateCache

AUTHORITY = trustme.CA()
OUTER = AUTHORITY.issue_cert("outer.test", "127.0.0.1")
INNER = AUTHORITY.issue_cert("inner.test", "127.0.0.1")


def chain(leaf: trustme.LeafCert) -> str:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems).decode()


def options(leaf: trustme.LeafCert) -> dict[str, Any]:
    return {"enabled": True, "cert_pem": chain(leaf), "key_pem": leaf.private_key_pem.bytes().decode()}


def names_of(context: ssl.SSLContext | None) -> str:
    """Returns the first name of what a listener shows, empty without TLS."""
    if context is None:
        return ""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_alpn_protocols(["http/1.1", "h2"])
    AUTHORITY.configure_trust(client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    right = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (left, right, left):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    assert left.selected_alpn_protocol() == "h2"
    certificate = left.getpeercert()
    assert certificate is not None
    return str(certificate["subjectAltName"][0][1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("server", "external", "internal"),
    [
        ({}, "", ""),
        ({"tls": options(OUTER)}, "outer.test", "outer.test"),
        ({"tls": options(OUTER), "tls_external": True}, "outer.test", ""),
        ({"tls_external": True}, "", ""),
        ({"internal_tls": options(INNER)}, "", "inner.test"),
        ({"tls": options(OUTER), "internal_tls": options(INNER)}, "outer.test", "inner.test"),
        ({"tls": options(OUTER), "internal_tls": options(INNER), "tls_external": True}, "outer.test", "inner.test"),
    ],
)
def test_who_has_which_certificate(server: dict[str, Any], external: str, internal: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"http_server": server | {"internal_port": "9000"}}))
    config = load(str(path), environ={}).config
    validate(config)
    tls = ServerTls(config, ManualClock())
    assert names_of(tls.context_of("external")) == external
    assert names_of(tls.context_of("internal")) == internal


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key_pem": INNER.private_key_pem.bytes().decode()}, "key_pem: is not the key of cert_pem"),
        ({"cert_pem": "/nowhere.pem"}, "cert_pem: "),
        ({"key_pem": ""}, "key_pem: is empty"),
        ({"client_ca_pem": OUTER.private_key_pem.bytes().decode()}, "client_ca_pem: "),
    ],
)
@pytest.mark.parametrize("name", ["tls", "internal_tls"])
def test_mistakes_are_found_before_the_start(name: str, changes: dict[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"http_server": {name: options(OUTER) | changes}}))
    with pytest.raises(ConfigError) as caught:
        validate(load(str(path), environ={}).config)
    assert str(caught.value).startswith(f"http_server.{name}.{said}")
    assert "PRIVATE KEY" not in str(caught.value)


def test_certificates_by_acme_come_first(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    server = {"tls": options(OUTER), "tls_autocert": {"enabled": True, "host_whitelist": ["a.test"]}}
    path.write_text(json.dumps({"http_server": server}))
    with capture_logs() as logs:
        tls = ServerTls(load(str(path), environ={}).config, ManualClock())
    assert [entry["event"] for entry in logs] == ["tls_unused"]
    assert isinstance(tls.context_of("external"), ssl.SSLContext)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "centripetal.transports.autocert.authority", raising=False)
    monkeypatch.setitem(sys.modules, "acme", None)
    config = load(None, environ={}, flags={"http_server.tls_autocert.enabled": "true"}).config
    with pytest.raises(ConfigError, match=r"http_server.tls_autocert.enabled: .*pip install 'centripetal\[acme\]'"):
        ServerTls(config, ManualClock())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_large_buffers_are_given_back() -> None:
    assert give_back_large_buffers()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def certificate_at(port: int) -> str:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=START_SECONDS, context=trusting())
    connection.request("GET", "/health")
    assert connection.sock is not None
    names = connection.sock.getpeercert()["subjectAltName"]  # type: ignore[attr-defined]
    assert connection.getresponse().status in (200, 404)
    connection.close()
    return str(names[0][1])


def test_the_process_serves_and_renews(run: Callable[[dict[str, Any]], Running], tmp_path: Path) -> None:  # noqa: F811
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def write(leaf: trustme.LeafCert) -> None:
        certificate.write_text(chain(leaf))
        key.write_bytes(leaf.private_key_pem.bytes())

    write(OUTER)
    port, internal = free_port(), free_port()
    server = {
        "address": "127.0.0.1",
        "port": port,
        "internal_port": str(internal),
        "tls": {"enabled": True, "cert_pem": str(certificate), "key_pem": str(key)},
        "internal_tls": options(INNER),
    }
    process = run(OPEN | {"http_server": server})
    process.wait_for('"internal"')
    assert (certificate_at(port), certificate_at(internal)) == ("outer.test", "inner.test")
    command = [sys.executable, "-m", "centripetal", "info", "-c", str(process.path)]
    tool = subprocess.run(command, check=False, capture_output=True, text=True, timeout=START_SECONDS)
    assert tool.returncode == 0, tool.stderr
    watching = local_tls(load(str(process.path), environ={}).config, "external")
    WebSocketClient(f"wss://127.0.0.1:{port}/connection/websocket", watching).close()

    async def scene() -> None:
        url = f"wss://127.0.0.1:{port}/connection/websocket"
        async with websockets.asyncio.client.connect(url, ssl=trusting()) as client:
            await client.send('{"id":1,"connect":{}}')
            assert '"client"' in str(await client.recv())
            write(AUTHORITY.issue_cert("renewed.test", "127.0.0.1"))
            other = AUTHORITY.issue_cert("other.test", "127.0.0.1")
            process.write(json.loads(process.path.read_text()) | {"http_server": server | {"internal_tls": options(other)}})
            os.kill(process.process.pid, signal.SIGHUP)
            await asyncio.to_thread(process.wait_for, '"reloaded"')
            assert await asyncio.to_thread(certificate_at, port) == "renewed.test"
            assert await asyncio.to_thread(certificate_at, internal) == "other.test"
            write(AUTHORITY.issue_cert("found.test", "127.0.0.1"))  # without a signal
            await asyncio.to_thread(process.wait_for_times, "certificate_renewed", 3)
            assert await asyncio.to_thread(certificate_at, port) == "found.test"
            await client.send('{"id":2,"subscribe":{"channel":"news"}}')
            assert '"subscribe"' in str(await client.recv())

    asyncio.run(scene())
    assert "Traceback" not in process.log_path.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_successor_serves_kept_certificates_and_answers_challenges(
    run: Callable[[dict[str, Any]], Running], workers: str, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    with tempfile.TemporaryDirectory(prefix="ct") as folder:
        monkeypatch.setenv("TMPDIR", folder)  # paths of Unix sockets must be short
        monkeypatch.setenv("ACME_DIRECTORY_URL", "https://127.0.0.1:1/directory")
        kept = AUTHORITY.issue_cert("kept.test", "127.0.0.1")
        cache = CertificateCache(f"{folder}/cache")
        cache.keep_certificates("kept.test", Certificates(chain(kept).encode(), kept.private_key_pem.bytes()))
        cache.keep_token("token", b"answer")
        port, challenges = free_port(), free_port()
        config = OPEN | {
            "workers": workers,
            "http_server": {
                "address": "127.0.0.1",
                "port": port,
                "takeover_socket": f"{folder}/takeover",
                "tls_autocert": {
                    "enabled": True,
                    "host_whitelist": ["kept.test"],
                    "server_name": "kept.test",
                    "cache_dir": f"{folder}/cache",
                    "http": True,
                    "http_addr": f"127.0.0.1:{challenges}",
                },
            },
        }

        def check() -> None:
            assert {certificate_at(port) for _ in range(4)} == {"kept.test"}
            for _ in range(4):
                connection = http.client.HTTPConnection("127.0.0.1", challenges, timeout=5)
                connection.request("GET", "/.well-known/acme-challenge/token")
                assert connection.getresponse().read() == b"answer"
                connection.close()

        old = run(config)
        old.wait_for_times('"acme"', int(workers))
        check()
        new = run(config)
        assert old.process.wait(20) == 0
        check()
        new.process.send_signal(signal.SIGTERM)
        assert new.process.wait(20) == 0
        for process in (old, new):
            assert "Traceback" not in process.log_path.read_text()
            assert "certificate_" not in process.log_path.read_text()
