"""The server under test as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from free_ports import free_port

CONFIG = Path(__file__).with_name("config.json")
START_LIMIT_SECONDS = 20.0
STOP_LIMIT_SECONDS = 20.0


class Instance:
    """A running server.

    Args:
        overlay: options laid over config.json.
        command: that is followed by `-c FILE`; without it CENTRIPETAL_SERVER (`centripetal` when unset).
    """

    def __init__(self, overlay: Mapping[str, Any] | None = None, command: Sequence[str] | None = None) -> None:
        self.port = free_port()
        self.config = _merge(json.loads(CONFIG.read_text()), overlay or {}, {"http_server": {"port": self.port}})
        self.api_key: str = self.config["http_api"]["key"]
        self.secret: str = self.config["client"]["token"]["hmac_secret_key"]
        self._folder = tempfile.TemporaryDirectory(prefix="centripetal-")
        folder = Path(self._folder.name)
        (folder / "config.json").write_text(json.dumps(self.config))
        self._log = folder / "server.log"
        command = command or shlex.split(os.environ.get("CENTRIPETAL_SERVER") or "centripetal")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "-c", str(folder / "config.json")], stdout=log, stderr=log)
        try:
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """What the server wrote so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """Sends SIGTERM, waits for the end and returns the exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._folder.cleanup()

    def _wait_until_healthy(self) -> None:
        limit = time.monotonic() + START_LIMIT_SECONDS
        while True:
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"the server did not start:\n{self.log()[-4000:]}")
            address = f"http://127.0.0.1:{self.port}/health"
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.03)


def _merge(base: Mapping[str, Any], *overlays: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for overlay in overlays:
        for key, value in overlay.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = _merge(result[key], value) if both else value
    return result
