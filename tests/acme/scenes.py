"""Certificates from Pebble: by both kinds of proof, kept across a restart, renewed, refused, and for workers. See run_acme.py."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from free_ports import free_port
from pebble import Pebble
from structlog.testing import capture_logs

from centripetal.model.certificates import Certificates
from centripetal.testing import ManualClock
from centripetal.transports.autocert.autocert import Autocert
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import Listener
from centripetal.transports.settings import AutocertSettings

PROGRAMS = Path(__file__).resolve().parents[2] / "build" / "acme"
SECONDS = 30.0


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    pebble = Pebble(PROGRAMS, tmp_path_factory.mktemp("pebble"))
    os.environ["REQUESTS_CA_BUNDLE"] = str(pebble.authority_path)
    os.environ["ACME_DIRECTORY_URL"] = pebble.directory_url
    yield pebble
    pebble.stop()


class Server:
    """A server process."""

    def __init__(
        self, folder: Path, port: int, autocert: dict[str, Any], *, workers: int = 1, successor: bool = False
    ) -> None:
        self.port = port
        self.cache = folder / "cache"
        options = {"enabled": True, "cache_dir": str(self.cache), "email": "me@one.test"} | autocert
        path = folder / "config.json"
        path.write_text(
            json.dumps(
                {
                    "workers": str(workers),
                    "http_server": {
                        "address": "127.0.0.1",
                        "port": port,
                        "tls_autocert": options,
                        "takeover_socket": str(folder / "takeover"),
                    },
                    "health": {"enabled": True},
                }
            )
        )
        self.log_path = folder / ("successor.log" if successor else "log")
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "centripetal", "-c", path], stdout=log, stderr=log)

    def wait_for(self, text: str, times: int = 1) -> None:
        limit = time.monotonic() + SECONDS
        while self.count(text) < times:
            assert self.process.poll() is None and time.monotonic() < limit, self.log_path.read_text()
            time.sleep(0.05)

    def count(self, text: str) -> int:
        return self.log_path.read_text().count(text)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.wait_end()

    def wait_end(self) -> None:
        assert self.process.wait(SECONDS) == 0
        assert "Traceback" not in self.log_path.read_text()


def serial_of(pebble: Pebble, port: int, host: str | None) -> int:
    """Shakes hands, checking the certificate; returns its number."""
    context = ssl.create_default_context(cadata=pebble.root())
    context.check_hostname = host is not None
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


def test_http_01_a_successor_and_a_restart(pebble: Pebble, tmp_path: Path) -> None:
    """A successor orders what is new at once, wherever challenges go meanwhile; what was there stays."""
    autocert = {
        "host_whitelist": ["one.test", "two.test"],
        "server_name": "two.test",
        "http": True,
        "http_addr": f"127.0.0.1:{pebble.http_port}",
    }
    server = Server(tmp_path, free_port(), autocert)
    for host in ("one.test", "two.test"):
        server.wait_for(f'"host":"{host}"')
    serials = [serial_of(pebble, server.port, host) for host in ("one.test", "two.test", None)]
    assert serials[0] != serials[1] == serials[2]
    with pytest.raises(OSError):
        serial_of(pebble, server.port, "three.test")

    hosts = ["one.test", "two.test", "three.test"]
    successor = Server(tmp_path, server.port, autocert | {"host_whitelist": hosts}, successor=True)
    successor.wait_for("certificate_issued")
    server.wait_end()
    serials.append(serial_of(pebble, successor.port, "three.test"))
    connection = http.client.HTTPConnection("127.0.0.1", pebble.http_port, timeout=SECONDS)
    connection.request("GET", "/a b?c=d".replace(" ", "%20"), headers={"Host": "one.test:80"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (302, "https://one.test/a%20b?c=d")
    connection.close()
    successor.stop()
    assert successor.count("certificate_issued") == 1 and not successor.count("not_issued")

    names = {path.name for path in server.cache.iterdir()}
    assert names == {"acme_account+key", "acme_lock", *hosts}
    assert {path.stat().st_mode & 0o777 for path in server.cache.iterdir()} == {0o600}
    server = Server(tmp_path, free_port(), autocert | {"host_whitelist": hosts})
    server.wait_for('"external"')
    assert [serial_of(pebble, server.port, host) for host in ("one.test", "two.test", None, "three.test")] == serials
    server.stop()
    assert not server.count("certificate_issued")


def serials_of_all(pebble: Pebble, server: Server, host: str) -> set[int]:
    """Waits until whichever worker gets a connection shows a certificate; returns all their numbers."""
    limit = time.monotonic() + SECONDS
    while True:
        try:
            return {serial_of(pebble, server.port, host) for _ in range(20)}
        except OSError:
            assert time.monotonic() < limit, server.log_path.read_text()
            time.sleep(0.1)


def test_http_01_with_workers(pebble: Pebble, tmp_path: Path) -> None:
    """Without a directory of ours; workers that take the place of others get what those had."""
    host = "one.workers.test"
    autocert = {"host_whitelist": [host], "http": True, "http_addr": f"127.0.0.1:{pebble.http_port}", "cache_dir": ""}
    server = Server(tmp_path, free_port(), autocert, workers=2)
    (serial,) = serials_of_all(pebble, server, host)
    workers = set(re.findall(r'"pid":(\d+)[^\n]*"message":"starting"', server.log_path.read_text()))
    assert len(workers) == 2
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    server.wait_for('"listener":"external"', 4)
    assert serials_of_all(pebble, server, host) == {serial}
    server.stop()
    assert server.count("certificate_issued") == 1 and not server.count("not_issued")


def test_tls_alpn_01_with_workers_of_which_each_is_asked(pebble: Pebble, tmp_path: Path) -> None:
    """And with others that take over from them."""
    server = Server(tmp_path, pebble.tls_port, {}, workers=2)
    server.wait_for('"listener":"external"', 2)
    assert server.count("autocert_takes_any_host") == 2
    for _ in range(12):
        with pytest.raises(OSError):
            serial_of(pebble, server.port, "any.workers.test")
    (serial,) = serials_of_all(pebble, server, "any.workers.test")
    successor = Server(tmp_path, pebble.tls_port, {}, workers=2, successor=True)
    server.wait_end()
    for _ in range(12):
        with pytest.raises(OSError):
            serial_of(pebble, server.port, "new.workers.test")
    assert len(serials_of_all(pebble, successor, "new.workers.test")) == 1
    assert serials_of_all(pebble, successor, "any.workers.test") == {serial}
    successor.stop()
    for log in (server, successor):
        assert log.count("certificate_issued") == 1 and not log.count("not_issued")


def test_a_proof_that_fails(pebble: Pebble, tmp_path: Path) -> None:
    server = Server(tmp_path, free_port(), {"host_whitelist": ["lost.test"]})  # not where Pebble looks
    server.wait_for("certificate_not_issued")
    server.stop()
    (entry,) = [json.loads(line) for line in server.log_path.read_text().splitlines() if "not_issued" in line]
    assert entry["host"] == "lost.test" and "tls-alpn-01" in entry["error"] and entry["pause_seconds"] == 120


def test_renewal(pebble: Pebble, tmp_path: Path) -> None:
    """In this process, where the calendar can be turned."""
    clock = ManualClock(time=time.time())
    settings = AutocertSettings(enabled=True, host_whitelist=("renewed.test",), cache_dir=str(tmp_path))

    async def scene() -> None:
        autocert = Autocert(settings, clock, pebble.directory_url)
        listener = Listener(Routes())
        await listener.start("127.0.0.1", pebble.tls_port, tls=autocert.context)
        await autocert.start("", 0)

        async def wait_issued(times: int) -> int:
            async with asyncio.timeout(SECONDS):
                while sum(entry["event"] == "certificate_issued" for entry in logs) < times:
                    await asyncio.sleep(0.05)
            return await asyncio.to_thread(serial_of, pebble, pebble.tls_port, "renewed.test")

        first = await wait_issued(1)
        clock.advance(59 * 86400)
        autocert.every_second()
        assert await wait_issued(1) == first
        clock.advance(1.5 * 86400)
        autocert.every_second()
        assert await asyncio.to_thread(serial_of, pebble, pebble.tls_port, "renewed.test") == first  # meanwhile
        second = await wait_issued(2)
        assert second != first
        assert isinstance(autocert._cache.certificates("renewed.test"), Certificates)
        await autocert.stop()
        await listener.close()

    with capture_logs() as logs:
        uvloop.run(scene())
