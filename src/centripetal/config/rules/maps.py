"""Rules of keyed state: map namespaces, presence in maps, shared polls."""

from __future__ import annotations

from itertools import pairwise

from centripetal.model.duration import format_duration
from centripetal.node.polls import REFRESH_INTERVAL_SECONDS
from centripetal.node.settings import ChannelOptions, MapOptions

from ..errors import ConfigError
from ..schema import Config
from ..values import show
from .proxies import check_reference

MAP_TYPES = ("map", "map_clients", "map_users")
_DEFAULT_STREAM_TTL_SECONDS = 60.0


def check_map(config: Config, path: str, options: ChannelOptions) -> None:
    """Checks `map.*` of a namespace.

    Raises:
        ConfigError: a rule is broken.
    """
    section, of = options.map, f"{path}.map"
    has_map_type = options.subscription_type in MAP_TYPES
    if has_map_type and not section.mode:
        raise ConfigError(f"{of}.mode: is empty; subscription_type {show(options.subscription_type)} needs a mode")
    if section.remove_client_on_unsubscribe and not has_map_type:
        raise ConfigError(f"{of}.remove_client_on_unsubscribe: needs a subscription_type of maps")
    if section.mode in ("ephemeral", "recoverable") and section.key_ttl <= 0:
        raise ConfigError(f"{of}.key_ttl: mode {show(section.mode)} needs a time greater than zero")
    if section.mode == "persistent":
        if section.key_ttl:
            raise ConfigError(f'{of}.key_ttl: must not be set in mode "persistent", where keys do not expire')
        if options.subscription_type in ("map_clients", "map_users"):
            raise ConfigError(
                f'{of}.mode: "persistent" cannot go together with subscription_type {show(options.subscription_type)}'
            )
    _check_stream(of, section)
    _check_pages(of, section)
    for name in ("publish_proxy", "remove_proxy"):
        enabled = getattr(section, f"{name}_enabled")
        if enabled and section.client_key:
            raise ConfigError(f"{of}.client_key: cannot go together with {name}_enabled")
        default = f"channel.proxy.map_{name.removesuffix('_proxy')}"
        check_reference(config, f"{of}.{name}_name", getattr(section, f"{name}_name"), default, enabled=enabled)


def _check_stream(of: str, section: MapOptions) -> None:
    for name in ("stream_size", "stream_ttl", "meta_ttl"):
        value = getattr(section, name)
        if section.mode == "ephemeral" and value:
            raise ConfigError(f'{of}.{name}: must not be set in mode "ephemeral", which has no stream')
        if value < 0:
            raise ConfigError(f"{of}.{name}: must not be negative")
    if section.mode == "persistent" and section.meta_ttl:
        raise ConfigError(f'{of}.meta_ttl: must not be set in mode "persistent", where keys do not expire')
    if section.mode and 0 < section.meta_ttl < section.key_ttl:
        raise ConfigError(
            f"{of}.meta_ttl: {format_duration(section.meta_ttl)} is shorter than key_ttl ({format_duration(section.key_ttl)})"
        )
    stream_ttl = section.stream_ttl or _DEFAULT_STREAM_TTL_SECONDS
    if section.mode and section.meta_ttl and section.meta_ttl < stream_ttl:
        raise ConfigError(
            f"{of}.meta_ttl: {format_duration(section.meta_ttl)} is shorter than stream_ttl ({format_duration(stream_ttl)})"
        )


def _check_pages(of: str, section: MapOptions) -> None:
    sizes = {name: getattr(section, f"{name}_page_size") for name in ("min", "default", "max")}
    for name, size in sizes.items():
        if size < 0:
            raise ConfigError(f"{of}.{name}_page_size: must not be negative")
    given = [(name, size) for name, size in sizes.items() if size]
    for (low_name, low), (high_name, high) in pairwise(given):
        if low > high:
            raise ConfigError(f"{of}.{low_name}_page_size: {low} is greater than {high_name}_page_size ({high})")


def check_shared_poll(config: Config, path: str, options: ChannelOptions) -> None:
    """Checks `shared_poll.*` of a namespace.

    Raises:
        ConfigError: a rule is broken.
    """
    if options.subscription_type != "shared_poll":
        return
    section, of = options.shared_poll, f"{path}.shared_poll"
    if not config.shared_poll.hmac_secret_key:
        raise ConfigError(f'shared_poll.hmac_secret_key: is empty; subscription_type "shared_poll" in {path} needs it')
    default = "channel.proxy.shared_poll_refresh"
    check_reference(config, f"{of}.proxy_name", section.proxy_name, default, enabled=True)
    if section.publish_enabled and section.mode != "versioned":
        raise ConfigError(f'{of}.publish_enabled: needs shared_poll.mode "versioned"')
    for name in (
        "refresh_interval", "refresh_batch_size", "max_keys_per_connection", "track_expired_extra_delay",
        "backpressure_max_interval",
    ):  # fmt: skip
        if getattr(section, name) < 0:
            raise ConfigError(f"{of}.{name}: must not be negative")
    if config.shared_poll.concurrency_limit < 0:
        raise ConfigError("shared_poll.concurrency_limit: must not be negative")
    interval = section.refresh_interval or REFRESH_INTERVAL_SECONDS
    if 0 < section.backpressure_max_interval < interval:
        raise ConfigError(
            f"{of}.backpressure_max_interval: {format_duration(section.backpressure_max_interval)} is shorter than "
            f"refresh_interval ({format_duration(interval)})"
        )


def check_presence_prefixes(config: Config, path: str, options: ChannelOptions) -> None:
    """Checks that presence goes to namespaces that take it.

    Raises:
        ConfigError: a rule is broken.
    """
    for kind in ("map_clients", "map_users"):
        option = f"{kind}_presence_channel_prefix"
        prefix = getattr(options, option)
        if not prefix:
            continue
        name, boundary, _ = prefix.partition(config.channel.namespace_boundary)
        target: ChannelOptions | None = config.channel.without_namespace
        if boundary:
            target = next((item for item in config.channel.namespaces if item.name == name), None)
        if target is None:
            raise ConfigError(f"{path}.{option}: {show(prefix)} leads to namespace {show(name)}, which does not exist")
        if target.subscription_type != kind:
            raise ConfigError(f"{path}.{option}: {show(prefix)} leads to a namespace without subscription_type {kind}")
