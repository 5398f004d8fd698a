"""Settings of everything that lives in PostgreSQL."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.option import Secret
from centripetal.model.tls import TlsSettings


class PostgresOutboxSettings(Struct, frozen=True, kw_only=True):
    """How the outbox is read (`*.postgres.outbox.*`)."""

    poll_interval: Annotated[Duration, Meta(description="Idle polling period.")] = 0.1
    batch_size: Annotated[int, Meta(description="Rows handled per batch.")] = 1000


class PostgresBrokerSettings(Struct, frozen=True, kw_only=True):
    """The PostgreSQL broker (`broker.postgres.*`)."""

    dsn: Annotated[Secret, Meta(description="PostgreSQL connection string.")] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    pool_size: Annotated[int, Meta(description="Max pooled connections.")] = 16
    num_shards: Annotated[int, Meta(description="Delivery worker shards (channel hashed to shard).")] = 8
    cleanup_interval: Annotated[Duration, Meta(description="Period of cleanup and partition upkeep.")] = 60.0
    idempotent_result_ttl: Annotated[
        Duration, Meta(description="How long an idempotency key's result is remembered.")
    ] = 300.0
    binary_data: Annotated[bool, Meta(description="BYTEA columns instead of JSONB (separate table set).")] = False
    stream_retention: Annotated[
        Duration, Meta(description="Lower bound used for meta TTL when nothing else sets one.")
    ] = 86400.0
    use_notify: Annotated[bool, Meta(description="Wake the reader by LISTEN/NOTIFY as well as polling.")] = False
    notify_dsn: Annotated[
        Secret, Meta(description="Direct DSN for the LISTEN connection (when dsn goes through a pooler).")
    ] = ""
    table_prefix: Annotated[str, Meta(description="Prefix of tables/functions/notify channel.")] = "cf"
    skip_schema_init: Annotated[bool, Meta(description="Do not create the schema at start.")] = False
    outbox: PostgresOutboxSettings = field(default_factory=PostgresOutboxSettings)
    partition_lookahead_days: Annotated[int, Meta(description="Daily partitions created ahead.")] = 2
    partition_retention_days: Annotated[int, Meta(description="Age at which a daily partition is dropped.")] = 7


class PostgresMapBrokerSettings(Struct, frozen=True, kw_only=True):
    """The PostgreSQL map broker (`map_broker.postgres.*`)."""

    dsn: Annotated[Secret, Meta(description="PostgreSQL connection string.")] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    pool_size: Annotated[int, Meta(description="Max pooled connections.")] = 16
    num_shards: Annotated[int, Meta(description="Delivery worker shards (channel hashed to shard).")] = 8
    ttl_check_interval: Annotated[Duration, Meta(description="Period of expired-key sweep.")] = 1.0
    cleanup_interval: Annotated[Duration, Meta(description="Period of stream/meta/idempotency cleanup.")] = 60.0
    idempotent_result_ttl: Annotated[
        Duration, Meta(description="How long an idempotency key's result is remembered.")
    ] = 300.0
    binary_data: Annotated[bool, Meta(description="BYTEA columns instead of JSONB (separate table set).")] = False
    stream_retention: Annotated[Duration, Meta(description="How long stream rows are kept.")] = 86400.0
    use_notify: Annotated[bool, Meta(description="Wake the reader by LISTEN/NOTIFY as well as polling.")] = False
    notify_dsn: Annotated[
        Secret, Meta(description="Direct DSN for the LISTEN connection (when dsn goes through a pooler).")
    ] = ""
    table_prefix: Annotated[str, Meta(description="Prefix of tables/functions/notify channel.")] = "cf"
    skip_schema_init: Annotated[bool, Meta(description="Do not create the schema at start.")] = False
    outbox: PostgresOutboxSettings = field(default_factory=PostgresOutboxSettings)
    partition_lookahead_days: Annotated[int, Meta(description="Daily partitions created ahead.")] = 2
    partition_retention_days: Annotated[int, Meta(description="Age at which a daily partition is dropped.")] = 7


class PostgresControllerSettings(Struct, frozen=True, kw_only=True):
    """The PostgreSQL controller (`controller.postgres.*`)."""

    dsn: Annotated[Secret, Meta(description="PostgreSQL connection string.")] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    pool_size: Annotated[int, Meta(description="Max pooled connections.")] = 8
    num_shards: Annotated[int, Meta(description="Publish serialisation shards.")] = 1
    table_prefix: Annotated[str, Meta(description="Prefix of tables/functions/notify channel.")] = "cf"
    poll_interval: Annotated[Duration, Meta(description="Idle polling period.")] = 0.05
    use_notify: Annotated[bool, Meta(description="Wake the reader by LISTEN/NOTIFY as well as polling.")] = False
    notify_dsn: Annotated[
        Secret, Meta(description="Direct DSN for the LISTEN connection (when dsn goes through a pooler).")
    ] = ""
    partition_retention_days: Annotated[int, Meta(description="Age at which a daily partition is dropped.")] = 1
    partition_lookahead_days: Annotated[int, Meta(description="Daily partitions created ahead.")] = 2
    partition_cleanup_interval: Annotated[Duration, Meta(description="Period of partition upkeep.")] = 60.0
    batch_size: Annotated[int, Meta(description="Rows handled per poll.")] = 1000
    skip_schema_init: Annotated[bool, Meta(description="Do not create the schema at start.")] = False
