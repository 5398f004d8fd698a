"""The schema: every option is in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from centripetal.config.options import Option, options_of, walk
from centripetal.config.schema import Config
from centripetal.model.duration import parse_duration

OPTIONS: list[tuple[str, str, Any]] = json.loads((Path(__file__).parent / "options.json").read_text())
"""Path, type and default of every option of the reference; `[]` is an item of a list."""

KINDS = {
    "string": ("text", False),
    "pem": ("text", True),
    "bool": ("bool", False),
    "int": ("integer", False),
    "int32": ("integer", False),
    "int64": ("integer", False),
    "uint32": ("integer", False),
    "duration": ("duration", False),
    "array[string]": ("texts", False),
    "array[object]": ("sections", False),
    "map_string_string": ("map", False),
}
BOUNDS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1)}


@pytest.fixture(scope="module")
def ours() -> dict[str, Option]:
    return dict(walk(Config))


OWN = {
    "http_server.takeover_socket",
    "shutdown.drain_time",
    "workers",
    *(
        f"channel.{place}.{option}"
        for place in ("without_namespace", "namespaces[]")
        for option in (
            "client_publish_debounce_interval",
            "shared_poll.keep_latest_data",
            "shared_poll.backpressure_max_interval",
        )
    ),
}
"""Options that the open edition of Centrifugo does not have."""


def test_every_option_is_there_and_no_other(ours: dict[str, Option]) -> None:
    assert set(ours) - OWN == {path for path, _, _ in OPTIONS}
    assert OWN <= set(ours)


def test_kinds_and_defaults(ours: dict[str, Option]) -> None:
    for path, kind, default in OPTIONS:
        option = ours[path]
        assert (option.kind, option.pem) == KINDS[kind], path
        if kind == "duration":
            default = parse_duration(default)
        value = list(option.default) if isinstance(option.default, tuple) else option.default
        assert value == default and type(value) is type(default), path
        if kind in BOUNDS:
            assert (option.minimum, option.maximum) == BOUNDS[kind], path


def test_every_option_has_a_meaning(ours: dict[str, Option]) -> None:
    for path, option in ours.items():
        assert option.meaning.endswith(".") and option.meaning[0] not in " .", path


def test_defaults_are_among_the_choices(ours: dict[str, Option]) -> None:
    for path, option in ours.items():
        assert not option.choices or option.default in option.choices, path


def test_what_must_not_be_shown_is_marked(ours: dict[str, Option]) -> None:
    for path, option in ours.items():
        name = path.rpartition(".")[2]
        if option.kind == "text" and (
            name in ("key", "key_pem", "dsn", "secret") or name.endswith(("password", "_secret_key"))
        ):
            assert option.secret, path


def test_settings_are_frozen() -> None:
    config = Config()
    with pytest.raises(AttributeError):
        config.client.ping_interval = 1.0  # type: ignore[misc]
    assert all(option.section is None or option.section.__struct_config__.frozen for option in options_of(Config))
