"""The proxies of a configuration as hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from ..interfaces import Clock, HookTable
from ..interfaces.hooks import DEFAULT_HOOK, SUBSCRIBE_STREAM, Event, Forwarding
from ..node.counters import Counters
from ..node.limited_log import LimitedLogger
from ..outbound import HttpClient, HttpTarget, TargetSettings
from ..outbound.tls import client_context
from .http import HttpBackend, standing_headers
from .proxy import Backend, Proxy
from .settings import ProxySettings, is_http
from .tls import with_pem_texts

if TYPE_CHECKING:
    from .grpc_backend import GrpcChannels

CLOSE_SECONDS = 5.0
"""Calls over gRPC that run when their proxy is gone may take so long to end."""


class ProxyTable(HookTable):
    """Hooks that ask backends. After a reload, a table made of the new settings takes over what has not changed."""

    def __init__(self, http: HttpClient, counters: Counters, clock: Clock, previous: ProxyTable | None = None) -> None:
        """Makes an empty table.

        Args:
            http: makes the calls over HTTP.
            counters: what metrics read.
            clock: for the rate of log entries.
            previous: whose proxies go on where event, name and settings are the same.
        """
        super().__init__()
        self._http = http
        self._counters = counters
        self._clock = clock
        self._proxies: dict[tuple[str, str], tuple[ProxySettings, Proxy]] = {}
        self._previous = previous
        self._channels: GrpcChannels | None = previous._channels if previous is not None else None
        self._used_channels: set[Any] = set()

    def add_proxy(self, event: Event[Any, Any], settings: ProxySettings, name: str = DEFAULT_HOOK) -> None:
        """Has a backend asked about an event.

        Args:
            event: what.
            settings: whom.
            name: as namespaces name it.

        Raises:
            ValueError: an option cannot be used; the text begins with its name.
            ImportError: the package for gRPC is not installed.
        """
        key = (event.name, name)
        if key in self._proxies:
            return
        settings = with_pem_texts(settings)
        proxy = self._unchanged(key, settings) or self._make(event, settings, name)
        self._proxies[key] = (settings, proxy)
        if proxy.backend.protocol == "grpc":
            self._used_channels.add((settings.endpoint, settings.grpc.tls))
        self.add(event, proxy, name)
        if "caller" not in event.request.__struct_fields__:
            return  # nobody's headers go along
        wanted, kept = proxy.backend.forwarder.wanted, self.forwarding
        self.forwarding = Forwarding(
            kept.headers | wanted.headers, kept.metadata | wanted.metadata, kept.emulated | wanted.emulated
        )

    def _unchanged(self, key: tuple[str, str], settings: ProxySettings) -> Proxy | None:
        if self._previous is None:
            return None
        before, proxy = self._previous._proxies.get(key, (None, None))
        return proxy if before == settings else None

    def _make(self, event: Event[Any, Any], settings: ProxySettings, name: str) -> Proxy:
        backend: Backend
        if event.name == SUBSCRIBE_STREAM.name:
            from .grpc_stream import StreamOpener

            backend = StreamOpener(settings, self._grpc(settings))
        elif is_http(settings.endpoint):
            backend = HttpBackend(event, settings, self._target(settings))
        else:
            from .grpc_backend import GrpcBackend

            backend = GrpcBackend(event, settings, self._grpc(settings))
        # One for each proxy, so that one that fails does not hide the failures of others.
        log = LimitedLogger(structlog.get_logger("centripetal.proxies"), self._clock, per_second=1.0, burst=10)
        return Proxy(event, backend, self._counters, log, name)

    def _target(self, settings: ProxySettings) -> HttpTarget:
        tls = settings.http.tls
        try:
            context = client_context(tls) if tls.enabled else None
        except ValueError as error:
            raise ValueError(f"http.tls.{error}") from None
        name = tls.server_name if tls.enabled else ""
        headers = standing_headers(settings)
        bounds = TargetSettings(timeout_seconds=settings.timeout, headers=headers, tls=context, server_name=name)
        try:
            return self._http.target(settings.endpoint, bounds)
        except ValueError as error:
            raise ValueError(f"endpoint: {error}") from None

    def _grpc(self, settings: ProxySettings) -> Any:
        from .grpc_backend import GrpcChannels

        if self._channels is None:
            self._channels = GrpcChannels()
        return self._channels.channel(settings.endpoint, settings.grpc.tls)

    async def close_unused(self) -> None:
        """Closes connections over gRPC that only the table before this one needed; for when that one is gone."""
        self._previous = None
        if self._channels is not None:
            await self._channels.close(CLOSE_SECONDS, but=self._used_channels)

    async def close(self) -> None:
        """Closes the connections over gRPC; those over HTTP belong to the client that all share."""
        for _, proxy in self._proxies.values():
            proxy.log.report_dropped()
        if self._channels is not None:
            await self._channels.close(CLOSE_SECONDS)
