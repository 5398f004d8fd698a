"""Files, environment and flags become one configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from centripetal.config import Config, ConfigError, load
from centripetal.config.environment import read_dotenv
from centripetal.config.files import render

IN_A_FOLDER = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def written(folder: Path, content: Any, name: str = "c.json") -> str:
    path = folder / name
    path.write_text(json.dumps(content) if name.endswith(".json") else content)
    return str(path)


def from_environment(**variables: str) -> Config:
    return load(None, environ=variables).config


def test_nothing_given_is_the_default() -> None:
    loaded = load(None, environ={})
    assert loaded.config == Config() and not loaded.file_found and not loaded.unknown_keys


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    loaded = load(str(tmp_path / "absent.json"), environ={})
    assert not loaded.file_found and loaded.config == Config()


@IN_A_FOLDER
@given(
    file=st.none() | st.integers(1, 65535),
    compatible=st.none() | st.integers(1, 65535),
    own=st.none() | st.integers(1, 65535),
    flag=st.none() | st.integers(1, 65535),
)
def test_flag_beats_environment_beats_file_beats_default(
    tmp_path: Path, file: int | None, compatible: int | None, own: int | None, flag: int | None
) -> None:
    path = written(tmp_path, {"http_server": {"port": file}})
    environ = {"CENTRIFUGO_HTTP_SERVER_PORT": compatible, "CENTRIPETAL_HTTP_SERVER_PORT": own}
    loaded = load(
        path,
        environ={name: str(value) for name, value in environ.items() if value is not None},
        flags={} if flag is None else {"http_server.port": str(flag)},
    )
    expected = next(value for value in (flag, own, compatible, file, 8000) if value is not None)
    assert loaded.config.http_server.port == expected
    assert not loaded.unknown_environment


def test_options_of_sockjs_which_is_gone_are_unknown(tmp_path: Path) -> None:
    assert load(written(tmp_path, {"sockjs": {"enabled": True}}), environ={}).unknown_keys == ("sockjs",)


def test_keys_have_any_case_and_unknown_ones_are_told_with_their_path(tmp_path: Path) -> None:
    content = {
        "CLIENT": {"Ping_Interval": "9s", "Unknown": 1},
        "nonsense": {"deep": 1},
        "channel": {"namespaces": [{"name": "room", "odd": True}]},
    }
    loaded = load(written(tmp_path, content), environ={})
    assert loaded.config.client.ping_interval == 9.0
    assert loaded.unknown_keys == ("client.Unknown", "channel.namespaces[0].odd", "nonsense") or set(
        loaded.unknown_keys
    ) == {"client.Unknown", "channel.namespaces[0].odd", "nonsense"}


def test_a_key_in_two_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"client\.insecure"):
        load(written(tmp_path, {"client": {"insecure": True, "Insecure": False}}), environ={})


def test_keys_may_hold_dots(tmp_path: Path) -> None:
    content = {
        "client.ping_interval": "9s",
        "Client": {"token.audience": "a"},
        "http_server.tls.enabled": True,
        "odd.x": 1,
    }
    loaded = load(written(tmp_path, content), environ={})
    assert loaded.config.client.ping_interval == 9.0 and loaded.config.client.token.audience == "a"
    assert loaded.config.http_server.tls.enabled and loaded.unknown_keys == ("odd.x",)
    with pytest.raises(ConfigError, match=r"client\.insecure.*twice"):
        load(written(tmp_path, {"client.insecure": True, "client": {"insecure": True}}), environ={})


def test_a_single_object_is_a_list_of_one(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, {"channel": {"namespaces": {"name": "room"}}}), environ={})
    assert [item.name for item in loaded.config.channel.namespaces] == ["room"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("12", "12"),
        ("012", "10"),
        ("0x10", "16"),
        ("1_000", "1000"),
        ("~", ""),
        ("", ""),
        ("'true'", "true"),
        ("e5", "e5"),
        ("-", None),
        ("1.5", None),
        ("1e3", None),
        ("true", None),
        ("!!python/object:os.system x", None),
        ("*nothing", None),
    ],
)
def test_scalars_of_yaml(tmp_path: Path, text: str, value: str | None) -> None:
    path = written(tmp_path, f"node:\n  name: {text}\n", "c.yaml")
    if value is None:
        with pytest.raises(ConfigError):
            load(path, environ={})
    else:
        assert load(path, environ={}).config.node.name == value


def test_anchors_and_merges_of_yaml(tmp_path: Path) -> None:
    text = "x: &base {history_size: 1}\nchannel:\n  namespaces:\n    - {<<: *base, name: one}\n    - {name: two, <<: *base}\n"
    namespaces = load(written(tmp_path, text, "c.yaml"), environ={}).config.channel.namespaces
    assert [(item.name, item.history_size) for item in namespaces] == [("one", 1), ("two", 1)]


def test_a_zero_value_means_the_default(tmp_path: Path) -> None:
    content = {
        "client": {"channel_limit": 0, "ping_interval": "0s", "allowed_origins": None},
        "channel": {"private_prefix": "", "max_length": 0},
        "engine": {"redis": {"address": []}},
    }
    assert load(written(tmp_path, content), environ={}).config == Config()


@pytest.mark.parametrize(
    ("content", "option", "value"),
    [
        ({"http_server": {"port": "0x1F90"}}, "http_server.port", 8080),
        ({"http_server": {"port": 9000.0}}, "http_server.port", 9000),
        ({"http_server": {"internal_port": 9001}}, "http_server.internal_port", "9001"),
        ({"client": {"ping_interval": 3_000_000_000}}, "client.ping_interval", 3.0),
        ({"client": {"ping_interval": -1}}, "client.ping_interval", -1e-9),
        ({"client": {"insecure": "t"}}, "client.insecure", True),
        ({"client": {"insecure": 1}}, "client.insecure", True),
        ({"client": {"allowed_origins": "https://a.test"}}, "client.allowed_origins", ("https://a.test",)),
        (
            {"broker": {"nats": {"raw_mode": {"channel_replacements": [{"key": "A.b", "value": "c"}]}}}},
            "broker.nats.raw_mode.channel_replacements",
            {"A.b": "c"},
        ),
    ],
)
def test_forms_of_values(tmp_path: Path, content: Any, option: str, value: Any) -> None:
    found: Any = load(written(tmp_path, content), environ={}).config
    for part in option.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"http_server": {"port": "abc"}}, ("http_server.port", '"abc"', "whole number")),
        ({"http_server": {"port": 1.5}}, ("http_server.port", "1.5")),
        ({"http_server": {"port": True}}, ("http_server.port", "true")),
        ({"http_server": {"port": 2**70}}, ("http_server.port", "from")),
        ({"client": {"ping_interval": "abc"}}, ("client.ping_interval", "duration")),
        ({"client": {"ping_interval": "-1"}}, ("client.ping_interval", "duration")),
        ({"client": {"allowed_origins": {"a": 1}}}, ("client.allowed_origins", "list")),
        ({"client": {"insecure": "maybe"}}, ("client.insecure", "true or false")),
        ({"client": 1}, ("client", "object")),
        ({"channel": {"namespaces": 5}}, ("channel.namespaces", "list")),
        ({"channel": {"namespaces": ["a"]}}, ("channel.namespaces[0]",)),
        ({"channel": {"namespaces": [{"name": "room", "presence": "maybe"}]}}, ("namespaces[0].presence",)),
        ({"engine": {"type": "floppy"}}, ("engine.type", '"floppy"', '"redis"')),
        ({"log": {"file": ["a"]}}, ("log.file", "text")),
        ({"proxies": [{"http": {"static_headers": {"a": 1}}}]}, ("static_headers", "object of texts")),
    ],
)
def test_errors_name_option_value_and_what_is_right(tmp_path: Path, content: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, content), environ={})
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


def test_errors_never_show_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, {"http_api": {"key": ["hush"]}}), environ={})
    assert "http_api.key" in str(caught.value) and "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.json", "[" * 100_000),
        ("a.json", '{"a": ' + "9" * 10_000 + "}"),
        ("b.yaml", "a: [1"),
        ("b.yaml", "{" * 20_000),
        ("c.toml", "a = "),
        ("d.ini", "a=1"),
        ("e.yaml", "- a"),
        ("e.yaml", "a: 1\na: 2"),
        ("e.yaml", "--- {}\n--- {}"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        load(str(tmp_path / name), environ={})


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        load(str(tmp_path / "a.json"), environ={})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path / "x.json"), environ={})


@IN_A_FOLDER
@example({"http_api": {"key": "0E0"}})
@example({"http_api": {"key": "0o17"}})
@example({"http_api": {"key": "yes"}})
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "http_api": st.fixed_dictionaries(
                {"key": st.text(st.characters(categories=["L", "N", "Zs"]), max_size=20)}
            ),
            "client": st.fixed_dictionaries(
                {
                    "insecure": st.booleans(),
                    "channel_limit": st.integers(-5, 10**9),
                    "ping_interval": st.integers(1, 10**6).map(lambda milliseconds: f"{milliseconds}ms"),
                    "allowed_origins": st.lists(st.sampled_from(["*", "https://a.test", "yes", "1"]), max_size=3),
                }
            ),
        },
    )
)
def test_the_formats_say_the_same(tmp_path: Path, content: dict[str, Any]) -> None:
    configs = []
    for kind in ("json", "yaml", "toml"):
        path = tmp_path / f"same.{kind}"
        path.write_text(render(content, kind), encoding="utf-8")
        configs.append(load(str(path), environ={}).config)
    assert configs[0] == configs[1] == configs[2]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "client", "tls", "map", "enabled", "token", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@IN_A_FOLDER
@given(st.dictionaries(st.sampled_from(["client", "channel", "proxies", "http_server", "pid_file", "odd"]), JSON))
def test_any_content_loads_or_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    try:
        load(written(tmp_path, content), environ={})
    except ConfigError as error:
        assert ":" in str(error)


def test_types_of_variables() -> None:
    config = from_environment(
        CENTRIFUGO_HTTP_SERVER_PORT="0x10",
        CENTRIFUGO_HEALTH_ENABLED="1",
        CENTRIFUGO_INIT_ENABLED="TRUE",
        CENTRIPETAL_CLIENT_PING_INTERVAL="1m",
        CENTRIFUGO_CLIENT_ALLOWED_ORIGINS="https://one.test https://two.test",
        CENTRIFUGO_BROKER_NATS_RAW_MODE_CHANNEL_REPLACEMENTS='{":": "."}',
        CENTRIFUGO_CLIENT_INSECURE="",
    )
    assert config.http_server.port == 16 and config.health.enabled and config.init.enabled
    assert config.client.ping_interval == 60.0
    assert config.client.allowed_origins == ("https://one.test", "https://two.test")
    assert config.broker.nats.raw_mode.channel_replacements == {":": "."}
    assert config.client.insecure is False


@pytest.mark.parametrize(
    "variables",
    [
        {"CENTRIFUGO_HTTP_SERVER_PORT": "x"},
        {"CENTRIPETAL_HTTP_SERVER_PORT": "1" * 10_000},
        {"CENTRIFUGO_HEALTH_ENABLED": "yes"},
        {"CENTRIFUGO_CLIENT_PING_INTERVAL": "1"},
        {"CENTRIFUGO_CHANNEL_NAMESPACES": "[{"},
        {"CENTRIFUGO_CHANNEL_NAMESPACES": "[" * 100_000},
        {"CENTRIFUGO_CLIENT_PROXY_CONNECT_HTTP_STATUS_TO_CODE_TRANSFORMS": "404"},
        {"CENTRIFUGO_BROKER_NATS_RAW_MODE_CHANNEL_REPLACEMENTS": "{"},
    ],
)
def test_wrong_variables_are_named(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(variables))):
        load(None, environ=variables)


def test_items_of_named_lists_have_variables(tmp_path: Path) -> None:
    path = written(tmp_path, {"channel": {"namespaces": [{"name": "news.eu-1", "history_size": 1}]}})
    environ = {"CENTRIFUGO_CHANNEL_NAMESPACES_NEWS_EU_1_HISTORY_SIZE": "7"}
    loaded = load(path, environ=environ)
    assert loaded.config.channel.namespaces[0].history_size == 7 and not loaded.unknown_environment
    names = from_environment(
        CENTRIPETAL_CHANNEL_NAMESPACES="one two", CENTRIFUGO_CHANNEL_NAMESPACES_TWO_PRESENCE="true"
    ).channel.namespaces
    assert [(item.name, item.presence) for item in names] == [("one", False), ("two", True)]
    objects = from_environment(CENTRIFUGO_RPC_NAMESPACES='[{"name": "ab", "proxy_enabled": true}]').rpc.namespaces
    assert objects[0].proxy_enabled


def test_unknown_variables_are_told() -> None:
    environ = {
        "CENTRIFUGO_NONSENSE": "1",
        "CENTRIPETAL_HTTP_SERVER_PROT": "1",
        "CENTRIFUGO_VAR_X": "1",
        "CENTRIFUGO_PORT_8000_TCP": "tcp://1",
        "CENTRIFUGO_MAIN_SERVICE_HOST": "1",
        "OTHER": "1",
    }
    assert load(None, environ=environ).unknown_environment == ("CENTRIFUGO_NONSENSE", "CENTRIPETAL_HTTP_SERVER_PROT")


def test_variables_in_maps(tmp_path: Path) -> None:
    headers = {"A": "${CENTRIFUGO_VAR_ONE}-${CENTRIPETAL_VAR_TWO}", "B": "${OTHER}"}
    content = {"proxies": [{"name": "ab", "http": {"static_headers": headers}}]}
    path = written(tmp_path, content)
    loaded = load(path, environ={"CENTRIFUGO_VAR_ONE": "1", "CENTRIFUGO_VAR_TWO": "2"})
    assert loaded.config.proxies[0].http.static_headers == {"A": "1-2", "B": "${OTHER}"}
    with pytest.raises(ConfigError, match=r"proxies\[0\].*CENTRIFUGO_VAR_ONE"):
        load(path, environ={})


def test_flags_are_named_in_errors() -> None:
    with pytest.raises(ConfigError, match="--http_server.port"):
        load(None, environ={}, flags={"http_server.port": "x"})


def test_dotenv() -> None:
    text = "\n# comment\nexport A=1\nB = two # tail\nC='a # b'\nD=\"x\\ny\" # tail\nE=\n"
    assert read_dotenv(text) == {"A": "1", "B": "two", "C": "a # b", "D": "x\ny", "E": ""}


@pytest.mark.parametrize("text", ["novalue", "1A=2", "A='open", 'A="open\\"', "=x"])
def test_broken_dotenv(text: str) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        read_dotenv(text)
