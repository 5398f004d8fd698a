"""Which listener of a configuration speaks TLS, and with what certificate (`http_server.*tls*`)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from ..config import Config, ConfigError
from ..transports.settings import HttpServerSettings
from ..transports.tls import HTTP_1, ListenerTls


class ServerTls:
    """TLS of the HTTP listeners.

    The internal one has its own certificate if `internal_tls` is enabled, else that of the external one, or none at
    all with `tls_external`.

    Args:
        config: the configuration.
        alpn: protocols in order of preference.

    Raises:
        ConfigError: a certificate cannot be used.
    """

    def __init__(self, config: Config, alpn: Sequence[str] = HTTP_1) -> None:
        server = config.http_server
        self._external_only = server.tls_external
        self._external = _listener_tls("tls", server, alpn)
        self._internal = _listener_tls("internal_tls", server, alpn)

    def context_of(self, door: str) -> ssl.SSLContext | None:
        """Returns what a listener starts with.

        Args:
            door: `external` or `internal`.
        """
        if door == "internal":
            if self._internal is not None:
                return self._internal.context
            if self._external_only:
                return None
        return self._external.context if self._external is not None else None

    def reload(self, config: Config) -> None:
        """Reads all certificates anew, from where a configuration says now."""
        if self._external is not None:
            self._external.reload(config.http_server.tls if config.http_server.tls.enabled else None)
        if self._internal is not None:
            self._internal.reload(config.http_server.internal_tls if config.http_server.internal_tls.enabled else None)

    def every_second(self) -> None:
        """Looks whether files have changed."""
        for tls in (self._external, self._internal):
            if tls is not None:
                tls.every_second()


def _listener_tls(name: str, server: HttpServerSettings, alpn: Sequence[str]) -> ListenerTls | None:
    settings = getattr(server, name)
    if not settings.enabled:
        return None
    try:
        return ListenerTls(f"http_server.{name}", settings, alpn)
    except ValueError as error:
        raise ConfigError(f"http_server.{name}.{error}") from error
