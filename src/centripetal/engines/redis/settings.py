"""Settings of everything that lives in Redis."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.option import Secret
from centripetal.model.tls import TlsSettings


class RedisReplicaSettings(Struct, frozen=True, kw_only=True):
    """Reads from replicas (`*.replica_client.*`)."""

    enabled: Annotated[bool, Meta(description="Open a client for reads from replicas.")] = False


class RedisConnectionSettings(Struct, frozen=True, kw_only=True):
    """How to reach Redis."""

    address: Annotated[
        tuple[str, ...], Meta(description="Shard addresses, several = client-side consistent sharding.")
    ] = ("redis://127.0.0.1:6379",)
    connect_timeout: Annotated[Duration, Meta(description="Dial timeout.")] = 1.0
    io_timeout: Annotated[Duration, Meta(description="Per request read/write timeout.")] = 4.0
    db: Annotated[int, Meta(description="Logical database number.")] = 0
    user: Annotated[str, Meta(description="ACL user.")] = ""
    password: Annotated[Secret, Meta(description="Password.")] = ""
    client_name: Annotated[str, Meta(description="CLIENT SETNAME value.")] = ""
    force_resp2: Annotated[bool, Meta(description="Speak RESP2 instead of RESP3.")] = False
    cluster_address: Annotated[
        tuple[str, ...],
        Meta(description="Cluster seed addresses; presence selects cluster mode (wins over sentinel and address)."),
    ] = ()
    tls: TlsSettings = field(default_factory=TlsSettings)
    sentinel_address: Annotated[
        tuple[str, ...], Meta(description="Sentinel addresses; presence selects sentinel mode.")
    ] = ()
    sentinel_user: Annotated[str, Meta(description="ACL user for Sentinel.")] = ""
    sentinel_password: Annotated[Secret, Meta(description="Password for Sentinel.")] = ""
    sentinel_master_name: Annotated[str, Meta(description="Monitored master name (required with Sentinel).")] = ""
    sentinel_client_name: Annotated[str, Meta(description="CLIENT SETNAME value on Sentinel.")] = ""
    sentinel_tls: TlsSettings = field(default_factory=TlsSettings)
    replica_client: RedisReplicaSettings = field(default_factory=RedisReplicaSettings)


class RedisSettings(RedisConnectionSettings, frozen=True, kw_only=True):
    """How to reach Redis, and the prefix of everything there."""

    prefix: Annotated[str, Meta(description="Leading part of every key and PUB/SUB channel.")] = "centrifugo"


class RedisBrokerSettings(RedisSettings, frozen=True, kw_only=True):
    """The Redis broker (`broker.redis.*`)."""

    history_use_lists: Annotated[bool, Meta(description="Store history in Redis lists rather than streams.")] = False


class RedisPresenceSettings(RedisSettings, frozen=True, kw_only=True):
    """The Redis presence manager (`presence_manager.redis.*`)."""

    presence_ttl: Annotated[Duration, Meta(description="Lifetime of a presence entry without refresh.")] = 60.0
    presence_hash_field_ttl: Annotated[
        bool, Meta(description="Use per-field hash TTL (Redis 7.4+) in place of the expire zset.")
    ] = False
    presence_user_mapping: Annotated[
        bool, Meta(description="Keep per-user structures so presence stats need no full read.")
    ] = False


class RedisEngineSettings(RedisBrokerSettings, frozen=True, kw_only=True):
    """The Redis engine: broker and presence manager (`engine.redis.*`)."""

    presence_ttl: Annotated[Duration, Meta(description="Lifetime of a presence entry without refresh.")] = 60.0
    presence_hash_field_ttl: Annotated[
        bool, Meta(description="Use per-field hash TTL (Redis 7.4+) in place of the expire zset.")
    ] = False
    presence_user_mapping: Annotated[
        bool, Meta(description="Keep per-user structures so presence stats need no full read.")
    ] = False


class RedisMapBrokerSettings(RedisSettings, frozen=True, kw_only=True):
    """The Redis map broker (`map_broker.redis.*`)."""

    cleanup_interval: Annotated[Duration, Meta(description="Period of expired-key sweep, -1 disables.")] = 1.0
    cleanup_batch_size: Annotated[int, Meta(description="Entries swept per channel per pass.")] = 100
    idempotent_result_ttl: Annotated[
        Duration, Meta(description="How long an idempotency key's result is remembered.")
    ] = 300.0
    skip_pub_sub: Annotated[bool, Meta(description="Write state only, do not publish.")] = False
