"""Commands that check and write configurations, and help."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from .conftest import Run


def test_version(run: Run) -> None:
    code, out, err = run("version")
    assert (code, err) == (0, "") and out.startswith("Centripetal v") and out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("frobnicate",), "frobnicate"),
        (("checkconfig", "--frobnicate"), "--frobnicate"),
        (("-c", "x.json", "version"), "behind the command"),
        (("checktoken",), "TOKEN"),
        (("defaultenv", "--base-non-zero-only"), "--base"),
        (("checkconfig", "-c", "absent.json"), "absent.json"),
        (("defaultenv", "--base", "absent.json"), "absent.json"),
        (("defaultconfig", "--base", "absent.json", "-d"), "absent.json"),
        (("genconfig", "-c", "made.txt"), "made.txt"),
        (("genconfig", "-c", "no/folder/made.json"), "cannot be written"),
        (("configdoc", "-m", "-s", "nonsense"), "nonsense"),
        (("help", "nonsense"), "nonsense"),
        (("serve", "--dir", ".", "-c", "x.json"), "--dir"),
        (("serve", "--dir", "absent", "--dev"), "absent"),
        (("serve", "--dir", "absent"), "absent"),
        (("serve", "--dir", ".", "-p", "x"), "--port"),
        (("-p", "abc"), "http_server.port"),
        (("--health.enabled=perhaps",), "health.enabled"),
    ],
)
def test_errors_are_one_line(run: Run, arguments: tuple[str, ...], word: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and word in err


def test_checkconfig(run: Run) -> None:
    Path("good.yaml").write_text("client:\n  ping_interval: 10s\nextra: 1\n")
    assert run("checkconfig", "-c", "good.yaml") == (0, "", "")
    code, _, err = run("checkconfig", "--strict", "-c", "good.yaml")
    assert code == 1 and err == "error: unknown keys in config: extra\n"
    Path("bad.json").write_text('{"client": {"ping_interval": "1s"}}')
    code, _, err = run("checkconfig", "-c", "bad.json")
    assert code == 1 and "client.ping_interval" in err


def test_checkconfig_takes_features_that_are_not_built(run: Run) -> None:
    Path("redis.json").write_text('{"engine": {"type": "redis"}}')
    assert run("checkconfig", "-c", "redis.json") == (0, "", "")


@pytest.mark.parametrize("name", ["made.json", "made.yaml", "made.yml", "made.toml"])
def test_genconfig(run: Run, name: str) -> None:
    assert run("genconfig", "-c", name) == (0, "", "")
    assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    before = Path(name).read_text()
    assert run("checkconfig", "--strict", "-c", name) == (0, "", "")
    code, _, err = run("genconfig", "-c", name)
    assert code == 1 and name in err and Path(name).read_text() == before


def test_keys_are_fresh(run: Run) -> None:
    keys = set()
    for name in ("a.json", "b.json"):
        run("genconfig", "-c", name)
        content = json.loads(Path(name).read_text())
        keys |= {content["client"]["token"]["hmac_secret_key"], content["http_api"]["key"], content["admin"]["secret"]}
    assert len(keys) == 6 and all(len(key) == 86 for key in keys)


def test_defaultconfig(run: Run) -> None:
    assert run("defaultconfig", "-c", "full.json") == (0, "", "")
    assert stat.S_IMODE(Path("full.json").stat().st_mode) == 0o600
    assert run("checkconfig", "--strict", "-c", "full.json") == (0, "", "")
    assert run("defaultconfig", "-c", "full.json")[0] == 1
    Path("base.json").write_text('{"client": {"ping_interval": "9s"}}')
    code, out, _ = run("defaultconfig", "--base", "base.json", "--dry-run", "-c", "none.json")
    content = json.loads(out)
    assert code == 0 and content["client"]["ping_interval"] == "9s" and content["client"]["pong_timeout"] == "8s"
    assert "redisnats" not in content["broker"] and not Path("none.json").exists()


def test_defaultenv(run: Run) -> None:
    _, out, _ = run("defaultenv")
    lines = out.splitlines()
    assert "CENTRIFUGO_HTTP_SERVER_PORT=8000" in lines and lines == sorted(lines)
    Path("base.json").write_text('{"client": {"allowed_origins": ["a", "b"]}, "http_api": {"key": "it is"}}')
    _, out, _ = run("defaultenv", "--base", "base.json", "--base-non-zero-only", "--prefix", "CENTRIPETAL")
    assert out == "CENTRIPETAL_CLIENT_ALLOWED_ORIGINS='a b'\nCENTRIPETAL_HTTP_API_KEY='it is'\n"


def test_configdoc(run: Run) -> None:
    code, out, _ = run("configdoc", "-m", "-s", "health")
    assert code == 0 and out.startswith("## `health`") and "`health.handler_prefix`" in out


def test_the_page_of_configdoc() -> None:
    from centripetal.cli.configdoc import to_html
    from centripetal.config.reference import render_markdown

    page = to_html(render_markdown())
    assert page.count("<table>") == page.count("</table>") > 30
    assert "<td><code>client.ping_interval</code></td>" in page and "<script" not in page


def test_help_and_completion(run: Run) -> None:
    _, out, _ = run("help")
    assert "gentoken" in out and "checkconfig" in out
    _, out, _ = run("help", "pub")
    assert "centripetal pub" in out and "DATA" in out
    for shell in ("bash", "zsh", "fish"):
        code, out, _ = run("completion", shell)
        assert code == 0 and "_CENTRIPETAL_COMPLETE" in out
