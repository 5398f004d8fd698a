"""Channel names: which namespace a channel is in, which options hold there, whether the name is well formed."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec
import re2  # type: ignore[import-untyped]

from ..interfaces import MapRetention, PublishOptions
from ..model.errors import ERROR_UNKNOWN_CHANNEL
from .settings import ChannelOptions, ChannelSettings, MapOptions

MAP_TYPES = ("map", "map_clients", "map_users")
"""Values of `subscription_type` whose channels are maps."""

_STREAM_SIZE = 100
_STREAM_TTL_SECONDS = 60.0
_META_TTL_FACTOR = 10


class NamePattern(Protocol):
    """A compiled expression for names."""

    def search(self, text: str) -> object | None:
        """Returns something if the expression is found."""


class Rules(NamedTuple):
    """What holds for the channels of one namespace.

    Attributes:
        options: the namespace's options, with the global defaults filled in.
        name_pattern: compiled `channel_regex`, None without one.
        history_meta_ttl_seconds: effective `history_meta_ttl`.
        publish: how publications are stored and sent of which their publisher wants nothing special.
        map_retention: how long maps live; None for channels that are none.
    """

    options: ChannelOptions
    name_pattern: NamePattern | None
    history_meta_ttl_seconds: float
    publish: PublishOptions
    map_retention: MapRetention | None = None


class Namespaces:
    """The options `channel.*`, made ready for look-ups by channel name."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.settings = settings
        self._boundary = settings.namespace_boundary
        self._prefix = settings.private_prefix
        self._rules = {namespace.name: self._rules_of(namespace) for namespace in settings.namespaces}
        self._without_namespace = self._rules[""] = self._rules_of(settings.without_namespace)

    def _rules_of(self, options: ChannelOptions) -> Rules:
        if not options.publication_data_format and self.settings.publication_data_format:
            options = msgspec.structs.replace(options, publication_data_format=self.settings.publication_data_format)
        pattern = re2.compile(options.channel_regex) if options.channel_regex else None
        retention = retention_of(options.map) if options.subscription_type in MAP_TYPES else None
        meta_ttl = options.history_meta_ttl or self.settings.history_meta_ttl
        publish = PublishOptions(
            history_size=options.history_size,
            history_ttl_seconds=options.history_ttl,
            history_meta_ttl_seconds=meta_ttl,
            use_delta=options.delta_publish,
        )
        return Rules(options, pattern, meta_ttl, publish, retention)

    def split(self, channel: str) -> tuple[str, str]:
        """Returns the namespace's name and the rest of the channel's name; `("", channel)` without a namespace."""
        prefix = self._prefix
        trimmed = channel[len(prefix) :] if prefix and channel.startswith(prefix) else channel
        if self._boundary:
            namespace, boundary, rest = trimmed.partition(self._boundary)
            if boundary:
                return namespace, rest
        return "", channel

    def rules_of(self, channel: str) -> Rules:
        """Returns what holds for a channel.

        Raises:
            ClientError: 102, the namespace is not configured.
        """
        if self._boundary not in channel:
            return self._without_namespace
        rules = self._rules.get(self.split(channel)[0])
        if rules is None:
            raise ERROR_UNKNOWN_CHANNEL
        return rules

    def options_of(self, channel: str) -> ChannelOptions:
        """Returns the options that hold for a channel; raises as rules_of()."""
        return self.rules_of(channel).options

    def is_valid_name(self, channel: str) -> bool:
        """Whether the name fits `channel_regex`, or is ASCII where there is none; raises as rules_of()."""
        pattern = self.rules_of(channel).name_pattern
        if pattern is not None:
            return pattern.search(self.split(channel)[1]) is not None
        return channel.isascii()

    def is_private(self, channel: str) -> bool:
        """Whether the channel starts with `channel.private_prefix`."""
        return bool(self._prefix) and channel.startswith(self._prefix)

    def is_user_limited(self, channel: str) -> bool:
        """Whether the name lists users behind `channel.user_boundary`."""
        boundary = self.settings.user_boundary
        return bool(boundary) and boundary in channel

    def lists_user(self, channel: str, user: str) -> bool:
        """Whether a user-limited name lists the user."""
        listed = channel.rpartition(self.settings.user_boundary)[2]
        separator = self.settings.user_separator
        return user in listed.split(separator) if separator else user == listed

    def personal_channel(self, user: str, namespace: str) -> str:
        """Returns the personal channel of a user (`client.subscribe_to_user_personal_channel`)."""
        name = self.settings.user_boundary + user
        return f"{namespace}{self.settings.namespace_boundary}{name}" if namespace else name


def retention_of(options: MapOptions) -> MapRetention:
    """Returns how long maps with these options (`map.*`) live, defaults filled in.

    Only an `ephemeral` map has no stream. Without `meta_ttl`, the position of a map outlives its stream tenfold and
    every key; that of a `persistent` map stays.
    """
    if options.mode == "ephemeral":
        return MapRetention(key_ttl_seconds=options.key_ttl)
    stream_ttl = options.stream_ttl or _STREAM_TTL_SECONDS
    meta_ttl = options.meta_ttl
    if not meta_ttl and options.mode == "recoverable":
        meta_ttl = max(stream_ttl * _META_TTL_FACTOR, options.key_ttl)
    return MapRetention(
        key_ttl_seconds=options.key_ttl,
        stream_size=options.stream_size or _STREAM_SIZE,
        stream_ttl_seconds=stream_ttl,
        meta_ttl_seconds=meta_ttl,
    )
