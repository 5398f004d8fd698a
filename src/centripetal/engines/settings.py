"""Settings that choose broker, presence manager, map broker and controller."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from centripetal.engines.nats.settings import NatsBrokerSettings
from centripetal.engines.postgres.settings import (
    PostgresBrokerSettings,
    PostgresControllerSettings,
    PostgresMapBrokerSettings,
)
from centripetal.engines.redis.settings import (
    RedisBrokerSettings,
    RedisEngineSettings,
    RedisMapBrokerSettings,
    RedisPresenceSettings,
)


class EngineSettings(Struct, frozen=True, kw_only=True):
    """Broker and presence manager in one (`engine.*`)."""

    type: Annotated[Literal["memory", "redis"], Meta(description="Where publications, history and presence live.")] = (
        "memory"
    )
    redis: RedisEngineSettings = field(default_factory=RedisEngineSettings)


class RedisNatsBrokerSettings(Struct, frozen=True, kw_only=True):
    """History in Redis, PUB/SUB over NATS (`broker.redisnats.*`)."""

    redis: RedisBrokerSettings = field(default_factory=RedisBrokerSettings)
    nats: NatsBrokerSettings = field(default_factory=NatsBrokerSettings)


class BrokerSettings(Struct, frozen=True, kw_only=True):
    """A broker of its own (`broker.*`)."""

    enabled: Annotated[bool, Meta(description="Use this broker instead of the engine's.")] = False
    type: Annotated[
        Literal["memory", "redis", "nats", "postgres", "redisnats"],
        Meta(description="Kind of the broker (redisnats only with enable_unreleased_features)."),
    ] = "memory"
    redis: RedisBrokerSettings = field(default_factory=RedisBrokerSettings)
    nats: NatsBrokerSettings = field(default_factory=NatsBrokerSettings)
    postgres: PostgresBrokerSettings = field(default_factory=PostgresBrokerSettings)
    redisnats: RedisNatsBrokerSettings = field(default_factory=RedisNatsBrokerSettings)


class PresenceManagerSettings(Struct, frozen=True, kw_only=True):
    """A presence manager of its own (`presence_manager.*`)."""

    enabled: Annotated[bool, Meta(description="Use this presence manager instead of the engine's.")] = False
    type: Annotated[Literal["memory", "redis"], Meta(description="Kind of the presence manager.")] = "memory"
    redis: RedisPresenceSettings = field(default_factory=RedisPresenceSettings)


class MapBrokerSettings(Struct, frozen=True, kw_only=True):
    """Where keyed state lives (`map_broker.*`)."""

    type: Annotated[Literal["memory", "redis", "postgres"], Meta(description="Where keyed state lives.")] = "memory"
    redis: RedisMapBrokerSettings = field(default_factory=RedisMapBrokerSettings)
    postgres: PostgresMapBrokerSettings = field(default_factory=PostgresMapBrokerSettings)


class ControllerSettings(Struct, frozen=True, kw_only=True):
    """How nodes talk to each other (`controller.*`)."""

    enabled: Annotated[bool, Meta(description="Send inter-node control messages through this backend.")] = False
    type: Annotated[Literal["", "postgres"], Meta(description="Kind of the controller.")] = ""
    postgres: PostgresControllerSettings = field(default_factory=PostgresControllerSettings)
