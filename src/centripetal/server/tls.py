"""Which listener of a configuration speaks TLS, and with what certificate (`http_server.*tls*`)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from ..config import Config, ConfigError
from ..interfaces import Clock
from ..model.certificates import Certificates
from ..model.tls import TlsSettings
from ..transports.settings import AutocertSettings
from ..transports.tls import HTTP_VERSIONS, ListenerTls, tls_of
from .ports import Place, challenge_places, shares_ports

if TYPE_CHECKING:
    from ..transports.autocert.autocert import Autocert

DIRECTORY_VARIABLE = "ACME_DIRECTORY_URL"
"""Environment variable with the address of another ACME server than Let's Encrypt."""

LARGE_BYTES = 128 * 1024
"""From this size on, memory goes back to the system as soon as it is free."""

_M_MMAP_THRESHOLD = -3  # malloc.h

_log = structlog.get_logger("centripetal.tls")


class ServerTls:
    """TLS of the HTTP listeners; `tls_of` says which has which certificate.

    Args:
        config: the configuration.
        clock: tells when certificates are due.
        alpn: protocols in order of preference.
        group: directory of the server's processes, empty if there is one only; see Autocert.

    Raises:
        ConfigError: a certificate cannot be used, or a package is missing.
        OSError: the cache of certificates cannot be used.
    """

    def __init__(
        self, config: Config, clock: Clock, alpn: Sequence[str] = HTTP_VERSIONS, *, group: str = ""
    ) -> None:
        server = config.http_server
        self._by_door: dict[str, ListenerTls | Autocert] = {}
        self._listeners: dict[str, ListenerTls] = {}
        self._autocert: Autocert | None = None
        self._challenge_places = challenge_places(config)
        for door in ("external", "internal"):
            option, settings = tls_of(server, door)
            if isinstance(settings, AutocertSettings):
                self._autocert = self._autocert or _autocert(config, clock, alpn, group)
                self._by_door[door] = self._autocert
            elif settings is not None:
                if option not in self._listeners:
                    self._listeners[option] = _listener_tls(option, settings, alpn)
                self._by_door[door] = self._listeners[option]
        if server.tls_autocert.enabled and server.tls.enabled:
            _log.warning("tls_unused", option="http_server.tls", reason="tls_autocert is enabled")

    def context_of(self, door: str) -> ssl.SSLContext | None:
        """Returns what a listener starts with, None without TLS.

        Args:
            door: `external` or `internal`.
        """
        tls = self._by_door.get(door)
        return tls.context if tls is not None else None

    async def start(self, sockets_at: Callable[[Place], Sequence[socket.socket]] = lambda _place: ()) -> None:
        """Begins to obtain certificates. Connections should be accepted already: the authority will come.

        Args:
            sockets_at: returns the sockets that listen at a place already.

        Raises:
            OSError: the address for ACME's challenges cannot be bound.
        """
        if self._by_door:
            give_back_large_buffers()
        if self._autocert is not None:
            place = self._challenge_places[0] if self._challenge_places else ("", 0)
            await self._autocert.start(*place, sockets_at(place) if self._challenge_places else ())

    def filenos(self) -> dict[Place, list[int]]:
        """Returns the descriptors of the sockets where challenges come in, by place."""
        if self._autocert is None:
            return {}
        return {place: self._autocert.challenge_filenos() for place in self._challenge_places}

    def stop_accepting(self) -> None:
        """Leaves ACME to other processes; an order in work goes on."""
        if self._autocert is not None:
            self._autocert.stop_accepting()

    async def stop(self) -> None:
        """Ends it."""
        if self._autocert is not None:
            await self._autocert.stop()

    def certificates_of(self, door: str) -> Certificates:
        """Returns what new connections of a listener get at this moment, which has certificates of files or options.

        Args:
            door: `external` or `internal`.
        """
        tls = self._by_door[door]
        assert isinstance(tls, ListenerTls)
        return tls.certificates

    def reload(self, config: Config) -> None:
        """Reads the certificates anew that are in files, from where a configuration says now."""
        for option, tls in self._listeners.items():
            tls.reload(getattr(config.http_server, option.rpartition(".")[2]))

    def every_second(self) -> None:
        """Looks whether files have changed, and whether certificates are due."""
        for tls in self._listeners.values():
            tls.every_second()
        if self._autocert is not None:
            self._autocert.every_second()


def give_back_large_buffers() -> bool:
    """Has the C library keep no large buffers that are free.

    uvloop has one of 256 KiB for each TLS connection, of which a few pages are used. glibc takes such buffers from its
    heap once it has seen one go; connections that come and go would then touch more and more pages of it.

    Returns:
        Whether the C library knows how to: glibc does.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    return False


def _listener_tls(option: str, settings: TlsSettings, alpn: Sequence[str]) -> ListenerTls:
    try:
        return ListenerTls(option, settings, alpn)
    except ValueError as error:
        raise ConfigError(f"{option}.{error}") from error


def _autocert(config: Config, clock: Clock, alpn: Sequence[str], group: str) -> Autocert:
    try:
        from ..transports.autocert.authority import LETS_ENCRYPT
        from ..transports.autocert.autocert import Autocert
    except ImportError as error:
        raise ConfigError(
            f"http_server.tls_autocert.enabled: needs the package {error.name or 'acme'}, which is not installed: "
            "pip install 'centripetal[acme]'"
        ) from error
    return Autocert(
        config.http_server.tls_autocert,
        clock,
        os.environ.get(DIRECTORY_VARIABLE) or LETS_ENCRYPT,
        alpn=alpn,
        group=group,
        shares_port=shares_ports(config),
    )
