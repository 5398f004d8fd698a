"""The QUIC port of a configuration: HTTP/3 next to TCP (`http_server.http3.*`) and WebTransport (`webtransport.*`)."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ..config import Config, ConfigError
from ..connection import Client
from ..interfaces import Transport
from ..interfaces.request import HttpRequest
from .doors import Door, Shared
from .pages import path_of
from .quic_ports import QuicShare
from .tls import ServerTls
from .transports import reception_of

if TYPE_CHECKING:
    from ..transports.quic_listener import QuicListener
    from ..transports.webtransport import WebTransportEndpoint

ADVERTISED_SECONDS = 30 * 24 * 3600
"""Browsers may remember for so long that there is HTTP/3."""

logger = structlog.get_logger("centripetal.server")


@dataclass(frozen=True, slots=True)
class QuicDoor:
    """A QUIC listener and where it listens.

    Attributes:
        name: `http3`, for logs.
        listener: not started yet.
        address: interface, empty for all.
        port: UDP port, the number of the TCP port.
        shared: what all listeners have in common.
        sockets: that are bound there already.
    """

    name: str
    listener: QuicListener
    address: str
    port: int
    shared: Shared
    sockets: Sequence[socket.socket] = ()

    async def start(self) -> None:
        """Begins to take datagrams.

        Raises:
            OSError: the port cannot be bound.
        """
        await self.listener.start(self.address, self.port, sockets=self.sockets)
        logger.info("listening", listener=self.name, address=self.address or "*", port=self.port)

    def reconfigure(self, config: Config) -> None:
        """Applies another configuration to sessions from now on. Routes and certificates are those of the TCP port."""
        self.listener.sessions = session_endpoints(config, self.shared)


def build_quic_doors(
    config: Config, shared: Shared, external: Door, tls: ServerTls, share: QuicShare | None = None
) -> list[QuicDoor]:
    """Returns the QUIC listener, if HTTP/3 is enabled, and lets the TCP listener tell of it.

    Args:
        config: the configuration.
        shared: what all listeners have in common.
        external: the listener on TCP.
        tls: its certificates.
        share: what this process has of the UDP port, if others have it, too.

    Raises:
        ConfigError: it is enabled and its package is not installed, or the certificate cannot be used.
    """
    if not config.http_server.http3.enabled:
        return []
    try:
        from ..transports.quic_identity import QuicIdentity
        from ..transports.quic_listener import QuicListener
    except ImportError as error:
        raise ConfigError(
            f"http_server.http3.enabled: needs the package {error.name or 'aioquic'}, which is not installed: "
            "pip install 'centripetal[webtransport]'"
        ) from error
    try:
        listener = QuicListener(
            external.listener,
            lambda: tls.certificates_of(external.name),
            session_endpoints(config, shared),
            identity=QuicIdentity(share.tag, share.secret) if share is not None else None,
            relay=share.relay if share is not None else None,
        )
    except ValueError as error:
        raise ConfigError(f"http_server.tls.{error}") from error
    external.listener.advertise(f'h3=":{external.port}"; ma={ADVERTISED_SECONDS}')
    sockets = share.sockets if share is not None else ()
    return [QuicDoor("http3", listener, external.address, external.port, shared, sockets)]


def session_endpoints(config: Config, shared: Shared) -> dict[str, WebTransportEndpoint]:
    """Returns the endpoint of WebTransport by its path, if it is enabled."""
    settings = config.webtransport
    if not settings.enabled:
        return {}
    from ..transports.webtransport import WebTransportEndpoint

    def new_client(transport: Transport, request: HttpRequest) -> Client:
        return Client(shared.node, transport, request)

    reception = reception_of(config, shared.admission)
    endpoint = WebTransportEndpoint(settings, reception, new_client, config.client.stale_close_delay)
    return {path_of(settings.handler_prefix): endpoint}
