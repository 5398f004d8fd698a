"""What a reload takes from a new configuration."""

from __future__ import annotations

from typing import Any

from centripetal.config import Config, load
from centripetal.config.changes import APPLIED, merge


def configured(**flags: Any) -> Config:
    return load(None, environ={}, flags={name.replace("__", "."): value for name, value in flags.items()}).config


def test_nothing_changes_with_the_same_configuration() -> None:
    config = configured(http_server__port="9000")
    assert merge(config, configured(http_server__port="9000")) == (config, [], [])


def test_what_can_be_applied_is_taken_and_the_rest_stays() -> None:
    running = configured(http_server__port="9000", grpc_api__key="old")
    wanted = configured(
        http_server__port="9001",
        http_server__tls__enabled="true",
        log__level="debug",
        client__connection_limit="5",
        grpc_api__key="new",
        grpc_api__port="9002",
    )
    config, applied, waiting = merge(running, wanted)
    assert applied == ["log.level", "client.connection_limit", "grpc_api.key"]
    assert waiting == ["http_server.port", "http_server.tls.enabled", "grpc_api.port"]
    assert (config.log.level, config.client.connection_limit, config.grpc_api.key) == ("debug", 5, "new")
    assert (config.http_server, config.grpc_api.port) == (running.http_server, 10000)


def test_what_waits_is_told_again_each_time() -> None:
    running, wanted = configured(), configured(node__name="other")
    config, _, waiting = merge(running, wanted)
    assert waiting == ["node.name"]
    assert merge(config, wanted)[2] == ["node.name"]
    assert merge(config, running)[2] == []


def test_the_table_names_sections_and_options_that_exist() -> None:
    for section, options in APPLIED.items():
        assert hasattr(Config(), section)
        for option in options:
            assert hasattr(getattr(Config(), section), option)
