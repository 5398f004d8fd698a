"""Which gRPC listeners a configuration has."""

from __future__ import annotations

import sys

import pytest

from centripetal.config import Config, ConfigError, load
from centripetal.server.grpc_doors import build_grpc_doors


def test_there_are_none_by_default() -> None:
    assert build_grpc_doors(Config(), None) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "module"),
    [("grpc_api.enabled", "grpc"), ("grpc_api.reflection", "grpc_reflection.v1alpha.reflection")],
)
def test_a_missing_package_is_named(option: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"grpc_api.enabled": "true", option: "true"}
    config = load(None, environ={}, flags=flags).config
    monkeypatch.delitem(sys.modules, "centripetal.api.grpc.service", raising=False)
    monkeypatch.delitem(sys.modules, "centripetal.transports.grpc_listener", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    node = type("Node", (), {"counters": type("Counters", (), {"api_duration": {}})()})()
    shared = type("Shared", (), {"node": node})()
    with pytest.raises(ConfigError, match=rf"{option}: .*pip install 'centripetal\[grpc\]'"):
        build_grpc_doors(config, shared)
