"""Rules of channel namespaces."""

from __future__ import annotations

import re2  # type: ignore[import-untyped]

from centripetal.model.duration import format_duration
from centripetal.node.settings import ChannelOptions

from ..errors import ConfigError
from ..schema import Config
from ..values import show
from .maps import check_map, check_presence_prefixes, check_shared_poll
from .names import check_names
from .proxies import check_reference

DELTA_TYPES = ("fossil",)
_PROXIES = {
    "subscribe_proxy": "channel.proxy.subscribe",
    "publish_proxy": "channel.proxy.publish",
    "sub_refresh_proxy": "channel.proxy.sub_refresh",
    "cache_empty_proxy": "channel.proxy.cache_empty",
    "subscribe_stream_proxy": "channel.proxy.subscribe_stream",
}


def check_channels(config: Config) -> None:
    """Checks `channel`.

    Raises:
        ConfigError: a rule is broken.
    """
    _check_whole_seconds("channel.history_meta_ttl", config.channel.history_meta_ttl)
    _check_options(config, "channel.without_namespace", config.channel.without_namespace)
    check_names("channel.namespaces", (namespace.name for namespace in config.channel.namespaces))
    for index, namespace in enumerate(config.channel.namespaces):
        _check_options(config, f"channel.namespaces[{index}]", namespace)


def _check_options(config: Config, path: str, options: ChannelOptions) -> None:
    _check_history(config, path, options)
    _check_recovery(path, options)
    if options.client_publish_debounce_interval < 0:
        raise ConfigError(f"{path}.client_publish_debounce_interval: must not be negative")
    if options.channel_regex:
        _check_regex(f"{path}.channel_regex", options.channel_regex)
    for index, delta in enumerate(options.allowed_delta_types):
        if delta not in DELTA_TYPES:
            raise ConfigError(f'{path}.allowed_delta_types[{index}]: {show(delta)} is not "fossil"')
    _check_proxies(config, path, options)
    check_map(config, path, options)
    check_shared_poll(config, path, options)
    check_presence_prefixes(config, path, options)


def _check_whole_seconds(option: str, seconds: float) -> None:
    if seconds > 0 and not seconds.is_integer():
        raise ConfigError(f"{option}: {format_duration(seconds)} is not a whole number of seconds")


def _check_history(config: Config, path: str, options: ChannelOptions) -> None:
    size, ttl = options.history_size, options.history_ttl
    _check_whole_seconds(f"{path}.history_ttl", ttl)
    _check_whole_seconds(f"{path}.history_meta_ttl", options.history_meta_ttl)
    if size < 0 or ttl < 0:
        name = "history_size" if size < 0 else "history_ttl"
        raise ConfigError(f"{path}.{name}: must not be negative")
    if bool(size) != bool(ttl):
        missing, given = ("history_ttl", "history_size") if size else ("history_size", "history_ttl")
        raise ConfigError(f"{path}.{missing}: is not set; history needs it together with {path}.{given}")
    meta_ttl, meta_option = config.channel.history_meta_ttl, "channel.history_meta_ttl"
    if options.history_meta_ttl:
        meta_ttl, meta_option = options.history_meta_ttl, f"{path}.history_meta_ttl"
    if meta_ttl < ttl:
        raise ConfigError(
            f"{path}.history_ttl: {format_duration(ttl)} is longer than {meta_option} ({format_duration(meta_ttl)})"
        )


def _check_recovery(path: str, options: ChannelOptions) -> None:
    if options.force_recovery and not options.history_size:
        raise ConfigError(f"{path}.force_recovery: needs {path}.history_size and {path}.history_ttl")
    if options.auto_cache_recover and not (options.force_recovery and options.force_recovery_mode == "cache"):
        raise ConfigError(f'{path}.auto_cache_recover: needs force_recovery, and force_recovery_mode "cache"')


def _check_regex(option: str, pattern: str) -> None:
    settings = re2.Options()
    settings.log_errors = False
    try:
        re2.compile(pattern, settings)
    except re2.error as error:
        reason = error.args[0] if error.args else "it does not compile"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ConfigError(f"{option}: {show(pattern)} is not a regular expression: {text}") from error


def _check_proxies(config: Config, path: str, options: ChannelOptions) -> None:
    if options.subscribe_stream_proxy_enabled:
        for name in ("subscribe_proxy", "publish_proxy", "sub_refresh_proxy"):
            if getattr(options, f"{name}_enabled"):
                raise ConfigError(f"{path}.subscribe_stream_proxy_enabled: cannot go together with {name}_enabled")
    for name, default in _PROXIES.items():
        enabled = getattr(options, f"{name}_enabled")
        check_reference(config, f"{path}.{name}_name", getattr(options, f"{name}_name"), default, enabled=enabled)
    if options.subscribe_stream_proxy_enabled:
        name = options.subscribe_stream_proxy_name
        named = {proxy.name: proxy.endpoint for proxy in config.proxies}
        endpoint = named.get(name, config.channel.proxy.subscribe_stream.endpoint)
        if endpoint.startswith(("http://", "https://")):
            raise ConfigError(f"{path}.subscribe_stream_proxy_name: {show(endpoint)} is not a gRPC endpoint")
