"""Rules of engine, broker, presence manager, map broker and controller."""

from __future__ import annotations

from ..errors import ConfigError
from ..schema import Config


def check_engines(config: Config) -> None:
    """Checks `engine`, `broker`, `presence_manager`, `map_broker` and `controller`.

    Raises:
        ConfigError: a rule is broken.
    """
    if config.broker.type == "redisnats" and not config.enable_unreleased_features:
        raise ConfigError('broker.type: "redisnats" needs enable_unreleased_features')
    if config.controller.enabled and not config.controller.type:
        raise ConfigError('controller.type: is empty; an enabled controller needs a type: "postgres"')
    if config.controller.enabled and not config.controller.postgres.dsn:
        raise ConfigError("controller.postgres.dsn: is empty; this controller needs it")
    if config.broker.enabled and config.broker.type == "postgres" and not config.broker.postgres.dsn:
        raise ConfigError("broker.postgres.dsn: is empty; this broker needs it")
    if config.map_broker.type == "postgres" and not config.map_broker.postgres.dsn:
        raise ConfigError("map_broker.postgres.dsn: is empty; this map broker needs it")
