"""The gRPC listeners of a configuration: the server API (`grpc_api.*`) and the one-way stream (`uni_grpc.*`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..config import Config, ConfigError
from ..connection import Client
from ..interfaces import Transport
from ..interfaces.request import HttpRequest
from ..model.certificates import Certificates, read_certificates
from ..model.tls import TlsSettings
from ..node.node import Node
from .doors import Shared
from .ports import shares_ports
from .transports import reception_of

if TYPE_CHECKING:
    from ..transports.grpc_listener import GrpcListener


KEEPALIVE_SECONDS = 25.0
"""Peers of streams that are silent for so long are pinged."""


@dataclass(frozen=True, slots=True)
class GrpcDoor:
    """A gRPC listener and where it listens.

    Attributes:
        name: `grpc_api` or `uni_grpc`, for logs.
        listener: not started yet.
        address: interface, empty for all.
        port: TCP port.
        reconfigure: applies another configuration, as far as it can change while the listener runs.
    """

    name: str
    listener: GrpcListener
    address: str
    port: int
    reconfigure: Callable[[Config], None]


def build_grpc_doors(config: Config, shared: Shared) -> list[GrpcDoor]:
    """Returns the gRPC listeners that are enabled.

    Raises:
        ConfigError: one is enabled and its package is not installed.
    """
    doors = []
    if config.grpc_api.enabled:
        doors.append(_api_door(config, shared.node))
    if config.uni_grpc.enabled:
        doors.append(_stream_door(config, shared))
    return doors


def _stream_door(config: Config, shared: Shared) -> GrpcDoor:
    settings = config.uni_grpc
    try:
        from ..transports.grpc_listener import GrpcListener
        from ..transports.uni_grpc import UniGrpcService
    except ImportError as error:
        raise _missing("uni_grpc.enabled", error) from error

    def new_client(transport: Transport, request: HttpRequest) -> Client:
        return Client(shared.node, transport, request)

    service = UniGrpcService(reception_of(config, shared.admission), new_client)

    def reconfigure(config: Config) -> None:
        service.reception = reception_of(config, shared.admission)

    listener = GrpcListener(
        [service],
        max_receive_bytes=settings.max_receive_message_size,
        read_certificates=certificates_reader(settings.tls),
        reuse_port=shares_ports(config),
        keepalive_seconds=KEEPALIVE_SECONDS,
    )
    return GrpcDoor("uni_grpc", listener, settings.address, settings.port, reconfigure)


def _api_door(config: Config, node: Node) -> GrpcDoor:
    settings = config.grpc_api
    try:
        from ..api.grpc.schema.api_pb2 import DESCRIPTOR
        from ..api.grpc.service import GrpcApi
        from ..transports.grpc_listener import GrpcListener
    except ImportError as error:
        raise _missing("grpc_api.enabled", error) from error
    service = GrpcApi(node, settings)

    def reconfigure(config: Config) -> None:
        service.reconfigure(config.grpc_api)

    listener = GrpcListener(
        [service],
        max_receive_bytes=settings.max_receive_message_size,
        read_certificates=certificates_reader(settings.tls),
        reuse_port=shares_ports(config),
    )
    if settings.reflection:
        try:
            listener.reflect(DESCRIPTOR)
        except ImportError as error:
            raise _missing("grpc_api.reflection", error) from error
    return GrpcDoor("grpc_api", listener, settings.address, settings.port, reconfigure)


def _missing(option: str, error: ImportError) -> ConfigError:
    return ConfigError(
        f"{option}: needs the package {error.name or 'grpcio'}, which is not installed: pip install 'centripetal[grpc]'"
    )


def certificates_reader(tls: TlsSettings) -> Callable[[], Certificates] | None:
    """Returns what reads the certificates of a gRPC listener anew each time, None without TLS."""
    return partial(read_certificates, tls) if tls.enabled else None
