"""The server command: what it hands to the server."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from centripetal.config import ConfigError, LoadedConfig

from .conftest import Run


class Served:
    """Takes the place of the server's room."""

    def __init__(self) -> None:
        self.loaded: list[LoadedConfig] = []
        self.reload: list[Callable[[], LoadedConfig]] = []
        self.development: list[str | None] = []

    def serve(self, loaded: LoadedConfig, reload: Callable[[], LoadedConfig]) -> int:
        self.loaded.append(loaded)
        self.reload.append(reload)
        return 7

    def serve_development(self, loaded: LoadedConfig, directory: str | None) -> int:
        self.loaded.append(loaded)
        self.development.append(directory)
        return 8


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    served = Served()
    package = types.ModuleType("centripetal.server")
    for name in ("run", "development"):
        module = types.ModuleType(f"centripetal.server.{name}")
        module.__dict__.update(serve=served.serve, serve_development=served.serve_development)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "centripetal.server", package)
    return served


@pytest.mark.parametrize("command", [(), ("serve",)])
def test_flags_environment_and_file(
    run: Run, served: Served, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    Path("c.json").write_text(json.dumps({"http_server": {"port": 1}, "http_api": {"key": "file"}}))
    Path(".env").write_text("CENTRIPETAL_NODE_NAME=dotenv\nCENTRIPETAL_HTTP_API_KEY=dotenv\n")
    monkeypatch.setenv("CENTRIPETAL_HTTP_API_KEY", "environment")
    flags = ("-c", "c.json", "-p", "9000", "--health.enabled", "--init.enabled=false", "-a", "127.0.0.1")
    assert run(*command, *flags)[0] == 7
    config = served.loaded[0].config
    assert (config.http_server.port, config.http_server.address) == (9000, "127.0.0.1")
    assert config.health.enabled and not config.init.enabled
    assert (config.http_api.key, config.node.name) == ("environment", "dotenv")
    assert served.loaded[0].path == "c.json" and served.loaded[0].file_found


def test_a_file_is_not_needed(run: Run, served: Served) -> None:
    assert run("-c", "absent.json", "--http_api.insecure")[0] == 7
    assert not served.loaded[0].file_found and served.loaded[0].config.http_api.insecure


def test_reload_reads_again_and_keeps_the_flags(run: Run, served: Served) -> None:
    Path("config.json").write_text('{"node": {"name": "one"}}')
    run("-p", "9000")
    Path("config.json").write_text('{"node": {"name": "two"}, "http_server": {"port": 1}}')
    again = served.reload[0]().config
    assert (again.node.name, again.http_server.port) == ("two", 9000)
    Path("config.json").write_text('{"channel": {"namespaces": [{"name": "x"}]}}')
    with pytest.raises(ConfigError, match="namespaces"):
        served.reload[0]()


@pytest.mark.parametrize(
    "content",
    [
        '{"http_server": {"port": "abc"}}',
        '{"channel": {"namespaces": [{"name": "a"}]}}',
        '{"engine": {"type": "floppy"}}',
        '{"engine": {"type": "redis"}}',
        '{"client": {"ping_interval": "5s", "pong_timeout": "8s"}}',
        "{",
    ],
)
def test_a_bad_configuration_does_not_start(run: Run, served: Served, content: str) -> None:
    Path("c.json").write_text(content)
    code, out, err = run("-c", "c.json")
    assert (code, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1 and not served.loaded


def test_a_broken_dotenv_does_not_start(run: Run, served: Served) -> None:
    Path(".env").write_text("what is this")
    code, _, err = run()
    assert code == 1 and ".env, line 1" in err and not served.loaded


def test_development_mode_needs_no_configuration(run: Run, served: Served) -> None:
    Path("config.json").write_text("{ broken, but not asked for")
    assert run("serve", "--dev")[0] == 8
    assert served.development == [None] and served.loaded[0].path is None


def test_development_mode_serves_pages_with_a_configuration(run: Run, served: Served) -> None:
    Path("c.json").write_text('{"http_api": {"key": "file"}}')
    assert run("serve", "--dev", "-c", "c.json", "--dir", "pages")[0] == 8
    assert served.development == ["pages"] and served.loaded[0].config.http_api.key == "file"


def test_static_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def serve_directory(directory: str, address: str, port: str) -> int:
        calls.append((directory, address, port))
        return 0

    monkeypatch.setattr("centripetal.cli.static.serve_directory", serve_directory)
    assert run("serve", "--dir", ".")[0] == 0
    assert run("serve", "-d", "x", "-p", "4000", "-a", "127.0.0.1")[0] == 0
    assert calls == [(".", "", "3000"), ("x", "127.0.0.1", "4000")]
