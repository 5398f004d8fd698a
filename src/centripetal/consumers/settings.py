"""Settings of consumers of message queues."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from centripetal.engines.redis.settings import RedisConnectionSettings
from centripetal.model.duration import Duration
from centripetal.model.option import Int32, Secret
from centripetal.model.tls import TlsSettings


class PostgresConsumerSettings(Struct, frozen=True, kw_only=True):
    """An outbox table in PostgreSQL."""

    dsn: Annotated[Secret, Meta(description="PostgreSQL connection string.")] = ""
    outbox_table_name: Annotated[str, Meta(description="Outbox table (columns id, method, payload, partition).")] = ""
    num_partitions: Annotated[int, Meta(description="Partitions polled in parallel.")] = 1
    partition_select_limit: Annotated[int, Meta(description="Rows per select.")] = 100
    partition_poll_interval: Annotated[Duration, Meta(description="Poll period.")] = 0.3
    partition_notification_channel: Annotated[str, Meta(description="LISTEN channel; payload = partition number.")] = ""
    partition_notification_dsn: Annotated[Secret, Meta(description="Direct DSN for LISTEN.")] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    use_try_lock: Annotated[bool, Meta(description="Non-blocking advisory lock.")] = False


class HeaderDataModeSettings(Struct, frozen=True, kw_only=True):
    """Publications whose routing is in headers."""

    enabled: Annotated[bool, Meta(description="Payload is publication data, routing from headers.")] = False
    channels_header: Annotated[str, Meta(description="Header with comma-separated channels.")] = "centrifugo-channels"
    idempotency_key_header: Annotated[str, Meta(description="Header with idempotency key.")] = (
        "centrifugo-idempotency-key"
    )
    delta_header: Annotated[str, Meta(description="Header with boolean delta flag.")] = "centrifugo-delta"
    version_header: Annotated[str, Meta(description="Header with publication version.")] = "centrifugo-version"
    version_epoch_header: Annotated[str, Meta(description="Header with version epoch.")] = "centrifugo-version-epoch"
    tags_header_prefix: Annotated[str, Meta(description="Header name prefix that becomes a tag.")] = "centrifugo-tag-"


class KafkaConsumerSettings(Struct, frozen=True, kw_only=True):
    """Topics of Kafka."""

    brokers: Annotated[tuple[str, ...], Meta(description="Seed brokers.")] = ()
    topics: Annotated[tuple[str, ...], Meta(description="Topics.")] = ()
    consumer_group: Annotated[str, Meta(description="Group id.")] = ""
    max_poll_records: Annotated[int, Meta(description="Records per poll.")] = 100
    fetch_max_bytes: Annotated[Int32, Meta(description="Fetch size cap; 0 = 50 MB.")] = 0
    fetch_max_wait: Annotated[Duration, Meta(description="Fetch wait.")] = 0.5
    fetch_read_uncommitted: Annotated[bool, Meta(description="Read uncommitted isolation.")] = False
    partition_queue_max_size: Annotated[
        int, Meta(description="Buffered records per partition before pause; -1 = pause each poll.")
    ] = 1000
    dial_timeout: Annotated[Duration, Meta(description="Dial timeout.")] = 3.0
    tls: TlsSettings = field(default_factory=TlsSettings)
    sasl_mechanism: Annotated[
        Literal["", "plain", "scram-sha-256", "scram-sha-512", "aws-msk-iam"],
        Meta(description="SASL mechanism; empty = none."),
    ] = ""
    sasl_user: Annotated[str, Meta(description="SASL user.")] = ""
    sasl_password: Annotated[Secret, Meta(description="SASL password.")] = ""
    assume_role_arn: Annotated[str, Meta(description="IAM role (aws-msk-iam only).")] = ""
    instance_id: Annotated[str, Meta(description="Static group membership id.")] = ""
    method_header: Annotated[
        str, Meta(description="Header holding the API method (turns payload into the bare request).")
    ] = "centrifugo-method"
    publication_data_mode: HeaderDataModeSettings = field(default_factory=HeaderDataModeSettings)


class NatsJetStreamConsumerSettings(Struct, frozen=True, kw_only=True):
    """A stream of NATS JetStream."""

    url: Annotated[str, Meta(description="NATS URL.")] = "nats://127.0.0.1:4222"
    credentials_file: Annotated[str, Meta(description="Creds file (first choice).")] = ""
    username: Annotated[str, Meta(description="Basic auth user (second choice).")] = ""
    password: Annotated[Secret, Meta(description="Basic auth password.")] = ""
    token: Annotated[Secret, Meta(description="Token auth (last choice).")] = ""
    stream_name: Annotated[str, Meta(description="JetStream stream.")] = ""
    use_existing_consumer: Annotated[bool, Meta(description="Attach to an existing durable; fail if missing.")] = False
    subjects: Annotated[tuple[str, ...], Meta(description="Filter subjects.")] = ()
    durable_consumer_name: Annotated[str, Meta(description="Durable name (required).")] = ""
    deliver_policy: Annotated[
        Literal["new", "all"], Meta(description="Which messages a new durable consumer begins with.")
    ] = "new"
    max_ack_pending: Annotated[int, Meta(description="Unacked cap.")] = 100
    method_header: Annotated[
        str, Meta(description="Header holding the API method (turns payload into the bare request).")
    ] = "centrifugo-method"
    publication_data_mode: HeaderDataModeSettings = field(default_factory=HeaderDataModeSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)


class ValueDataModeSettings(Struct, frozen=True, kw_only=True):
    """Publications whose routing is in stream fields."""

    enabled: Annotated[bool, Meta(description="Payload is publication data, routing from fields.")] = False
    channels_value: Annotated[str, Meta(description="Field with comma-separated channels.")] = "centrifugo-channels"
    idempotency_key_value: Annotated[str, Meta(description="Field with idempotency key.")] = (
        "centrifugo-idempotency-key"
    )
    delta_value: Annotated[str, Meta(description="Field with boolean delta flag.")] = "centrifugo-delta"
    version_value: Annotated[str, Meta(description="Field with publication version.")] = "centrifugo-version"
    version_epoch_value: Annotated[str, Meta(description="Field with version epoch.")] = "centrifugo-version-epoch"
    tags_value_prefix: Annotated[str, Meta(description="Field name prefix that becomes a tag.")] = "centrifugo-tag-"


class RedisStreamConsumerSettings(RedisConnectionSettings, frozen=True, kw_only=True):
    """Streams of Redis."""

    streams: Annotated[tuple[str, ...], Meta(description="Stream keys.")] = ()
    consumer_group: Annotated[str, Meta(description="Group name.")] = ""
    visibility_timeout: Annotated[Duration, Meta(description="Idle time before a pending entry is claimed again.")] = (
        30.0
    )
    num_workers: Annotated[int, Meta(description="Workers per stream.")] = 1
    payload_value: Annotated[str, Meta(description="Field holding payload.")] = "payload"
    method_value: Annotated[str, Meta(description="Stream field holding the API method.")] = "method"
    publication_data_mode: ValueDataModeSettings = field(default_factory=ValueDataModeSettings)


class AttributeDataModeSettings(Struct, frozen=True, kw_only=True):
    """Publications whose routing is in attributes."""

    enabled: Annotated[bool, Meta(description="Payload is publication data, routing from attributes.")] = False
    channels_attribute: Annotated[str, Meta(description="Attribute with comma-separated channels.")] = (
        "centrifugo-channels"
    )
    idempotency_key_attribute: Annotated[str, Meta(description="Attribute with idempotency key.")] = (
        "centrifugo-idempotency-key"
    )
    delta_attribute: Annotated[str, Meta(description="Attribute with boolean delta flag.")] = "centrifugo-delta"
    version_attribute: Annotated[str, Meta(description="Attribute with publication version.")] = "centrifugo-version"
    version_epoch_attribute: Annotated[str, Meta(description="Attribute with version epoch.")] = (
        "centrifugo-version-epoch"
    )
    tags_attribute_prefix: Annotated[str, Meta(description="Attribute name prefix that becomes a tag.")] = (
        "centrifugo-tag-"
    )


class GooglePubSubConsumerSettings(Struct, frozen=True, kw_only=True):
    """Subscriptions of Google Cloud Pub/Sub."""

    project_id: Annotated[str, Meta(description="GCP project.")] = ""
    subscriptions: Annotated[tuple[str, ...], Meta(description="Subscription ids.")] = ()
    max_outstanding_messages: Annotated[int, Meta(description="Unacked message cap.")] = 100
    max_outstanding_bytes: Annotated[int, Meta(description="Unacked bytes cap.")] = 1000000
    auth_mechanism: Annotated[
        Literal["", "default", "service_account"], Meta(description="How to authenticate; empty = default.")
    ] = ""
    credentials_file: Annotated[str, Meta(description="Service account JSON path.")] = ""
    method_attribute: Annotated[str, Meta(description="Attribute holding the API method.")] = "centrifugo-method"
    publication_data_mode: AttributeDataModeSettings = field(default_factory=AttributeDataModeSettings)


class AwsSqsConsumerSettings(Struct, frozen=True, kw_only=True):
    """Queues of Amazon SQS."""

    queues: Annotated[tuple[str, ...], Meta(description="Queue URLs.")] = ()
    sns_envelope: Annotated[bool, Meta(description="Unwrap SNS envelope.")] = False
    region: Annotated[str, Meta(description="AWS region.")] = ""
    max_number_of_messages: Annotated[Int32, Meta(description="Messages per receive.")] = 10
    wait_time_time: Annotated[Duration, Meta(description="Long-poll wait.")] = 20.0
    visibility_timeout: Annotated[Duration, Meta(description="Hide time of received messages.")] = 30.0
    max_concurrency: Annotated[int, Meta(description="Parallel handling inside a batch.")] = 1
    credentials_profile: Annotated[str, Meta(description="Shared credentials profile.")] = ""
    assume_role_arn: Annotated[str, Meta(description="Role to assume.")] = ""
    method_attribute: Annotated[str, Meta(description="Attribute holding the API method.")] = "centrifugo-method"
    localstack_endpoint: Annotated[str, Meta(description="LocalStack endpoint for tests.")] = ""
    publication_data_mode: AttributeDataModeSettings = field(default_factory=AttributeDataModeSettings)


class PropertyDataModeSettings(Struct, frozen=True, kw_only=True):
    """Publications whose routing is in properties."""

    enabled: Annotated[bool, Meta(description="Payload is publication data, routing from properties.")] = False
    channels_property: Annotated[str, Meta(description="Property with comma-separated channels.")] = (
        "centrifugo-channels"
    )
    idempotency_key_property: Annotated[str, Meta(description="Property with idempotency key.")] = (
        "centrifugo-idempotency-key"
    )
    delta_property: Annotated[str, Meta(description="Property with boolean delta flag.")] = "centrifugo-delta"
    version_property: Annotated[str, Meta(description="Property with publication version.")] = "centrifugo-version"
    version_epoch_property: Annotated[str, Meta(description="Property with version epoch.")] = (
        "centrifugo-version-epoch"
    )
    tags_property_prefix: Annotated[str, Meta(description="Property name prefix that becomes a tag.")] = (
        "centrifugo-tag-"
    )


class AzureServiceBusConsumerSettings(Struct, frozen=True, kw_only=True):
    """Queues of Azure Service Bus."""

    connection_string: Annotated[Secret, Meta(description="Connection string auth.")] = ""
    use_azure_identity: Annotated[bool, Meta(description="Use Entra ID client credentials.")] = False
    fully_qualified_namespace: Annotated[str, Meta(description="Namespace host (identity auth).")] = ""
    tenant_id: Annotated[str, Meta(description="Tenant (identity auth).")] = ""
    client_id: Annotated[str, Meta(description="App id (identity auth).")] = ""
    client_secret: Annotated[Secret, Meta(description="App secret (identity auth).")] = ""
    queues: Annotated[tuple[str, ...], Meta(description="Queue names.")] = ()
    use_sessions: Annotated[bool, Meta(description="Session receiver, order within a session.")] = False
    max_concurrent_calls: Annotated[int, Meta(description="Parallel messages per queue.")] = 1
    max_receive_messages: Annotated[int, Meta(description="Messages per receive.")] = 1
    method_property: Annotated[str, Meta(description="Property holding the API method.")] = "centrifugo-method"
    publication_data_mode: PropertyDataModeSettings = field(default_factory=PropertyDataModeSettings)


class ConsumerSettings(Struct, frozen=True, kw_only=True):
    """One entry of `consumers`."""

    name: Annotated[str, Meta(description="Consumer name (regex ^[a-zA-Z0-9_]{2,}$, unique).")] = ""
    enabled: Annotated[bool, Meta(description="Run it.")] = False
    type: Annotated[
        Literal[
            "",
            "postgresql",
            "kafka",
            "nats_jetstream",
            "redis_stream",
            "google_pub_sub",
            "aws_sqs",
            "azure_service_bus",
        ],
        Meta(description="Kind of the queue."),
    ] = ""
    postgresql: PostgresConsumerSettings = field(default_factory=PostgresConsumerSettings)
    kafka: KafkaConsumerSettings = field(default_factory=KafkaConsumerSettings)
    nats_jetstream: NatsJetStreamConsumerSettings = field(default_factory=NatsJetStreamConsumerSettings)
    redis_stream: RedisStreamConsumerSettings = field(default_factory=RedisStreamConsumerSettings)
    google_pub_sub: GooglePubSubConsumerSettings = field(default_factory=GooglePubSubConsumerSettings)
    aws_sqs: AwsSqsConsumerSettings = field(default_factory=AwsSqsConsumerSettings)
    azure_service_bus: AzureServiceBusConsumerSettings = field(default_factory=AzureServiceBusConsumerSettings)
