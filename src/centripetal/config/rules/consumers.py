"""Rules of consumers of message queues."""

from __future__ import annotations

from centripetal.consumers.settings import ConsumerSettings

from ..errors import ConfigError
from ..schema import Config
from .names import CONSUMER_NAME, check_names

_NEEDED = {
    "postgresql": ("dsn", "outbox_table_name"),
    "kafka": ("brokers", "topics", "consumer_group"),
    "nats_jetstream": ("url", "stream_name", "durable_consumer_name"),
    "redis_stream": ("address", "streams", "consumer_group"),
    "google_pub_sub": ("project_id", "subscriptions"),
    "aws_sqs": ("queues",),
    "azure_service_bus": ("queues",),
}
_IDENTITY = ("fully_qualified_namespace", "tenant_id", "client_id", "client_secret")


def check_consumers(config: Config) -> None:
    """Checks `consumers`.

    Raises:
        ConfigError: a rule is broken.
    """
    check_names("consumers", (consumer.name for consumer in config.consumers), CONSUMER_NAME)
    for index, consumer in enumerate(config.consumers):
        path = f"consumers[{index}]"
        if not consumer.type:
            raise ConfigError(f"{path}.type: is empty; it is one of {', '.join(_NEEDED)}")
        if consumer.enabled:
            _check_consumer(path, consumer)


def _check_consumer(path: str, consumer: ConsumerSettings) -> None:
    section = getattr(consumer, consumer.type)
    path = f"{path}.{consumer.type}"
    needed = list(_NEEDED[consumer.type])
    if consumer.type == "azure_service_bus":
        needed += _IDENTITY if section.use_azure_identity else ("connection_string",)
    for name in needed:
        if not getattr(section, name):
            raise ConfigError(f"{path}.{name}: is empty; a consumer of this type needs it")
    if consumer.type == "kafka" and section.assume_role_arn and section.sasl_mechanism != "aws-msk-iam":
        raise ConfigError(f'{path}.assume_role_arn: needs sasl_mechanism "aws-msk-iam"')
