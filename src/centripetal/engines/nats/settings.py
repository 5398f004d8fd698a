"""Settings of the NATS broker."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.tls import TlsSettings


class NatsRawModeSettings(Struct, frozen=True, kw_only=True):
    """Exchange with other users of the same subjects (`broker.nats.raw_mode.*`)."""

    enabled: Annotated[bool, Meta(description="Pass channel names and payloads to NATS untouched.")] = False
    channel_replacements: Annotated[
        dict[str, str], Meta(description="Substring replacements applied to channel before it becomes a subject.")
    ] = {}
    prefix: Annotated[str, Meta(description="Subject prefix in raw mode, removed on the way in.")] = ""


class NatsBrokerSettings(Struct, frozen=True, kw_only=True):
    """The NATS broker (`broker.nats.*`)."""

    prefix: Annotated[str, Meta(description="Leading part of NATS subjects.")] = "centrifugo"
    url: Annotated[str, Meta(description="NATS server URL.")] = "nats://localhost:4222"
    dial_timeout: Annotated[Duration, Meta(description="Dial timeout.")] = 1.0
    write_timeout: Annotated[Duration, Meta(description="Flusher write timeout.")] = 1.0
    tls: TlsSettings = field(default_factory=TlsSettings)
    allow_wildcards: Annotated[bool, Meta(description="Let clients subscribe to NATS wildcard subjects.")] = False
    raw_mode: NatsRawModeSettings = field(default_factory=NatsRawModeSettings)
