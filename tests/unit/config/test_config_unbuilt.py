"""Options of features that are not there yet are refused, others are not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from centripetal.config import Config, ConfigError, load
from centripetal.config.options import Option, walk
from centripetal.config.unbuilt import UNBUILT, refuse_unbuilt

OTHER: dict[str, Any] = {
    "bool": True,
    "integer": 12345,
    "duration": 7.5,
    "text": "other",
    "texts": ("x",),
    "map": {"a": "b"},
}
BUILT_SECTIONS = (
    "log.",
    "http_api.",
    "grpc_api.",
    "uni_grpc.",
    "websocket.",
    "sse.",
    "http_stream.",
    "emulation.",
    "uni_websocket.",
    "uni_sse.",
    "uni_http_stream.",
    "prometheus.",
    "health.",
    "init.",
    "node.",
    "shutdown.",
    "usage_stats.",
    "http_server.tls.",
    "http_server.internal_tls.",
    "http_server.tls_external",
    "http_server.tls_autocert.",
    "http_server.http3.",
    "webtransport.",
    "shared_poll.",
)
UNBUILT_SECTIONS = (
    "broker.",
    "presence_manager.",
    "controller.",
    "map_broker.",
    "swagger.",
    "debug.",
    "opentelemetry.",
    "prometheus.native_histograms",
    "graphite.",
)


def changed(path: str, option: Option) -> Config:
    """Returns the default configuration with another value of one option that is not in a list."""
    value = next(iter(set(option.choices) - {option.default}), "other") if option.choices else OTHER[option.kind]
    parts = path.split(".")
    settings: list[Any] = [Config()]
    for part in parts[:-1]:
        settings.append(getattr(settings[-1], part))
    for part, owner in zip(reversed(parts), reversed(settings), strict=True):
        value = msgspec.structs.replace(owner, **{part: value})
    assert isinstance(value, Config)
    return value


def is_refused(config: Config) -> str:
    try:
        refuse_unbuilt(config)
    except ConfigError as error:
        return str(error)
    return ""


PLAIN = [(path, option) for path, option in walk(Config) if "[]" not in path and option.kind != "sections"]


def test_the_default_is_fine() -> None:
    refuse_unbuilt(Config())


def test_every_option_of_a_section_is_built_or_refused() -> None:
    for path, option in PLAIN:
        text = is_refused(changed(path, option))
        if path.startswith(UNBUILT_SECTIONS):
            assert text.startswith(f"{path}: ") and "\n" not in text, path
        elif path.startswith(BUILT_SECTIONS):
            assert not text, path


def test_every_pattern_matches_an_option() -> None:
    import re

    paths = [path for path, _ in walk(Config)]
    for pattern, feature in UNBUILT:
        assert any(re.fullmatch(pattern, path) for path in paths), feature


def test_items_of_lists_are_looked_at() -> None:
    def of(**variables: str) -> str:
        return is_refused(load(None, environ=variables).config)

    assert not of(CENTRIPETAL_CHANNEL_NAMESPACES='[{"name": "ab", "presence": true, "subscription_type": "stream"}]')
    assert of(CENTRIPETAL_CONSUMERS='[{"name": "ab"}]').startswith("consumers: this value cannot be used")


def test_a_generated_configuration_starts() -> None:
    environ = {"CENTRIPETAL_ADMIN_PASSWORD": "p", "CENTRIPETAL_ADMIN_SECRET": "s", "CENTRIPETAL_ADMIN_ENABLED": "false"}
    assert not is_refused(load(None, environ=environ).config)


def test_passwords_in_addresses_are_not_shown() -> None:
    environ = {"CENTRIPETAL_ENGINE_REDIS_ADDRESS": "redis://me:hush@host:1"}
    text = is_refused(load(None, environ=environ).config)
    assert "engine.redis.address" in text and "redis://***@host:1" in text


def test_secrets_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_unbuilt(load(None, environ={"CENTRIPETAL_ENGINE_REDIS_PASSWORD": "hush"}).config)
    assert "engine.redis.password" in str(caught.value) and "hush" not in str(caught.value)
