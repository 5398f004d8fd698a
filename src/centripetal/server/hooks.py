"""The hooks of a configuration: which events are asked of which backend (`client.proxy`, `channel.proxy`, …)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..config import Config, ConfigError
from ..config.rules.proxies import DEFAULT_PROXY
from ..interfaces import Clock
from ..interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    PUBLISH,
    REFRESH,
    RPC,
    SHARED_POLL_REFRESH,
    SUB_REFRESH,
    SUBSCRIBE,
    SUBSCRIBE_STREAM,
    Event,
)
from ..interfaces.map_hooks import MAP_PUBLISH, MAP_REMOVE
from ..node.counters import Counters
from ..node.settings import RpcNamespaceSettings, RpcOptions
from ..outbound import HttpClient
from ..proxies.settings import ProxySettings
from ..proxies.table import ProxyTable

_NAMESPACE_EVENTS: tuple[tuple[Event[Any, Any], str], ...] = (
    (SUBSCRIBE, "subscribe"),
    (PUBLISH, "publish"),
    (SUB_REFRESH, "sub_refresh"),
    (SUBSCRIBE_STREAM, "subscribe_stream"),
    (CACHE_EMPTY, "cache_empty"),
)
"""Events with options `…_proxy_enabled` and `…_proxy_name` of namespaces, and a default in `channel.proxy`."""


_MAP_EVENTS: tuple[tuple[Event[Any, Any], str], ...] = ((MAP_PUBLISH, "publish"), (MAP_REMOVE, "remove"))
"""Events with such options in `map` of namespaces, and a default in `channel.proxy.map_publish`, …"""


class Use(NamedTuple):
    """A proxy that is asked about an event.

    Attributes:
        event: which.
        name: under which namespaces find it.
        path: where its options are.
        settings: its options.
    """

    event: Event[Any, Any]
    name: str
    path: str
    settings: ProxySettings


def build_hooks(
    config: Config, http: HttpClient, counters: Counters, clock: Clock, previous: ProxyTable | None = None
) -> ProxyTable:
    """Returns the hooks that a configuration asks for. Needs a running event loop.

    Args:
        config: validated.
        http: makes the calls over HTTP.
        counters: what metrics read.
        clock: for the rate of log entries.
        previous: those that run; what has not changed goes on.

    Raises:
        ConfigError: an option of a proxy cannot be used.
    """
    table = ProxyTable(http, counters, clock, previous)
    for use in uses(config):
        try:
            table.add_proxy(use.event, use.settings, use.name)
        except ValueError as error:
            raise ConfigError(f"{use.path}.{error}") from error
        except ImportError as error:
            raise ConfigError(
                f"{use.path}.endpoint: needs the package {error.name or 'grpcio'}, which is not installed: "
                "pip install 'centripetal[grpc]'"
            ) from error
    return table


def uses(config: Config) -> Iterator[Use]:
    """Yields the proxies that are enabled; one that several namespaces name comes several times."""
    named = {proxy.name: (f"proxies[{index}]", proxy) for index, proxy in enumerate(config.proxies)}

    def use(event: Event[Any, Any], name: str, path: str, default: ProxySettings) -> Use:
        name = name or DEFAULT_PROXY
        path, settings = (path, default) if name == DEFAULT_PROXY else named[name]
        return Use(event, name, path, settings)

    clients = config.client.proxy
    for event, path, proxy in ((CONNECT, "connect", clients.connect), (REFRESH, "refresh", clients.refresh)):
        if proxy.enabled:
            yield Use(event, DEFAULT_PROXY, f"client.proxy.{path}", proxy)
    for options in (config.channel.without_namespace, *config.channel.namespaces):
        for event, kind in _NAMESPACE_EVENTS:
            if getattr(options, f"{kind}_proxy_enabled"):
                default = getattr(config.channel.proxy, kind)
                yield use(event, getattr(options, f"{kind}_proxy_name"), f"channel.proxy.{kind}", default)
        for event, kind in _MAP_EVENTS:
            if getattr(options.map, f"{kind}_proxy_enabled"):
                default = getattr(config.channel.proxy, event.name)
                yield use(event, getattr(options.map, f"{kind}_proxy_name"), f"channel.proxy.{event.name}", default)
        if options.subscription_type == "shared_poll":
            default = config.channel.proxy.shared_poll_refresh
            yield use(
                SHARED_POLL_REFRESH, options.shared_poll.proxy_name, "channel.proxy.shared_poll_refresh", default
            )
    calls: tuple[RpcOptions | RpcNamespaceSettings, ...] = (config.rpc.without_namespace, *config.rpc.namespaces)
    for methods in calls:
        if methods.proxy_enabled:
            yield use(RPC, methods.proxy_name, "rpc.proxy", config.rpc.proxy)
