"""What is written can be read again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from centripetal.config import Config, load
from centripetal.config.files import render
from centripetal.config.output import to_object, to_variables
from centripetal.config.reference import render_markdown

ROOT = Path(__file__).resolve().parents[3]
FULL = {
    "client": {"ping_interval": "90s", "allowed_origins": ["https://a.test", "b c"], "insecure": True},
    "http_api": {"key": "it's a $key"},
    "channel": {"namespaces": [{"name": "room", "history_size": 1, "history_ttl": "1.5s"}, {"name": "a-b.c"}]},
    "proxies": [
        {
            "name": "mine",
            "http": {
                "static_headers": {"X": "1"},
                "status_to_code_transforms": [{"status_code": 404, "to_error": {"code": 404, "message": "no"}}],
            },
        }
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "full.json"
    path.write_text(render(FULL, "json"))
    return load(str(path), environ={}).config


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
def test_a_written_file_says_the_same(tmp_path: Path, config: Config, kind: str) -> None:
    path = tmp_path / f"written.{kind}"
    path.write_text(render(to_object(config), kind))
    loaded = load(str(path), environ={})
    assert loaded.config == config and not loaded.unknown_keys


@pytest.mark.parametrize("prefix", ["CENTRIPETAL_", "CENTRIFUGO_"])
def test_written_variables_say_the_same(config: Config, prefix: str) -> None:
    environ = {}
    for line in to_variables(config, prefix=prefix):
        (assignment,) = shlex.split(line)
        name, _, value = assignment.partition("=")
        environ[name] = value.replace("b c", "b_c")  # a list of texts cannot hold spaces in a variable
    loaded = load(None, environ=environ)
    expected = [origin.replace(" ", "_") for origin in config.client.allowed_origins]
    assert list(loaded.config.client.allowed_origins) == expected and not loaded.unknown_environment
    assert loaded.config.channel == config.channel
    assert loaded.config.proxies == config.proxies
    assert loaded.config.http_api == config.http_api


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == render_markdown()


def test_a_section_of_the_reference() -> None:
    text = render_markdown("websocket", base_level=1)
    assert text.startswith("### `websocket`") and "`websocket.compression`" in text and "`client." not in text
    with pytest.raises(KeyError):
        render_markdown("nonsense")
