"""Pebble, Let's Encrypt's ACME server for tests, on free ports of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import trustme
from free_ports import free_port

VERSION = "v2.10.3"
PACKAGE = "github.com/letsencrypt/pebble/v2/cmd"
START_SECONDS = 20.0


def install(folder: Path) -> None:
    """Builds Pebble and its name server with the Go tool, unless they are there."""
    programs = ("pebble", "pebble-challtestsrv")
    if all((folder / name).exists() for name in programs):
        return
    folder.mkdir(parents=True, exist_ok=True)
    packages = [f"{PACKAGE}/{name}@{VERSION}" for name in programs]
    subprocess.run(["go", "install", *packages], check=True, env=os.environ | {"GOBIN": str(folder.resolve())})


class Pebble:
    """The server and the name server that it asks; all names are this machine.

    Attributes:
        directory_url: where an ACME client begins.
        authority_path: file with the authority of the server's own certificate, for clients.
        http_port: where it looks for http-01 proofs.
        tls_port: where it looks for tls-alpn-01 proofs.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.http_port, self.tls_port = free_port(), free_port()
        port, management, names = free_port(), free_port(), free_port()
        self.directory_url = f"https://localhost:{port}/dir"
        self._management = f"https://localhost:{management}"
        authority = trustme.CA()
        self.authority_path = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority_path)
        own = authority.issue_cert("localhost", "127.0.0.1")
        own.cert_chain_pems[0].write_to_path(folder / "pebble.pem")
        own.private_key_pem.write_to_path(folder / "pebble.key")
        self._trust = authority
        config: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(folder / "pebble.pem"),
            "privateKey": str(folder / "pebble.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "as usual", "validityPeriod": 90 * 86400}},
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        switched_off = [f"-{name}=" for name in ("http01", "https01", "tlsalpn01", "doh", "defaultIPv6")]
        self._log = (folder / "pebble.log").open("wb")
        servers = [
            [programs / "pebble-challtestsrv", f"-dnsserver=127.0.0.1:{names}", "-management=127.0.0.1:0", *switched_off],
            [programs / "pebble", "-config", folder / "pebble.json", "-dnsserver", f"127.0.0.1:{names}"],
        ]
        environment = os.environ | {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
            "PEBBLE_AUTHZREUSE": "0",
        }
        self._processes = [
            subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment) for command in servers
        ]
        self._wait_started()

    def _wait_started(self) -> None:
        limit = time.monotonic() + START_SECONDS
        while True:
            try:
                self.root()
            except OSError:
                assert time.monotonic() < limit, Path(self._log.name).read_text()
                time.sleep(0.05)
            else:
                return

    def root(self) -> str:
        """Returns the authority of the certificates that are issued, as PEM."""
        import ssl

        context = ssl.create_default_context()
        self._trust.configure_trust(context)
        with urllib.request.urlopen(f"{self._management}/roots/0", context=context, timeout=5) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """Ends both."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()
