"""A TCP port that speaks gRPC: the server API and the unidirectional stream each have one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from ..model.certificates import Certificates

MAX_CONCURRENT_STREAMS = 10_000
"""Calls that one TCP connection may have open at once; further ones wait at the client."""


class GrpcListener:
    """Serves gRPC services on one port.

    Args:
        services: handlers of their calls.
        max_receive_bytes: largest message, decompressed; 0 for 4 MiB.
        read_certificates: gives the certificates, at start and for each new connection, so that renewed ones are used
            without a restart; None for plain text. It may raise ValueError.
        keepalive_seconds: pings peers that have been silent for so long, 0 for never.
        keepalive_timeout_seconds: how long they may take to answer.
        reuse_port: another process may listen on the port, too.

    Attributes:
        port: the TCP port that is listened on.
    """

    def __init__(
        self,
        services: Sequence[grpc.GenericRpcHandler],
        *,
        max_receive_bytes: int = 0,
        read_certificates: Callable[[], Certificates] | None = None,
        keepalive_seconds: float = 0.0,
        keepalive_timeout_seconds: float = 5.0,
        reuse_port: bool = False,
    ) -> None:
        self.port = 0
        self._services = tuple(services)
        self._read_certificates = read_certificates
        self._reflected: tuple[Any, ...] = ()
        self._server: Any = None
        self._options: list[tuple[str, int]] = [
            ("grpc.so_reuseport", int(reuse_port)),  # otherwise a port in use is an error
            ("grpc.max_concurrent_streams", MAX_CONCURRENT_STREAMS),
        ]
        if max_receive_bytes > 0:
            self._options.append(("grpc.max_receive_message_length", max_receive_bytes))
        if keepalive_seconds > 0:
            self._options += [
                ("grpc.keepalive_time_ms", round(keepalive_seconds * 1000)),
                ("grpc.keepalive_timeout_ms", round(keepalive_timeout_seconds * 1000)),
                ("grpc.http2.min_ping_interval_without_data_ms", round(keepalive_timeout_seconds * 1000)),
            ]

    def reflect(self, *files: Any) -> None:
        """Lets clients ask for the services' descriptors (gRPC reflection). Call it before start().

        Args:
            files: Protobuf file descriptors with the services. Whoever reaches the port may read them.

        Raises:
            ImportError: grpcio-reflection is not installed.
        """
        import grpc_reflection.v1alpha.reflection  # noqa: F401  # an option of few

        self._reflected = files

    async def start(self, address: str, port: int) -> None:
        """Begins to accept calls.

        Args:
            address: to bind; empty for all.
            port: TCP port, 0 for a free one.

        Raises:
            OSError: the address cannot be bound.
            ValueError: the certificates cannot be read.
        """
        server = self._server = grpc.aio.server(options=self._options)
        server.add_generic_rpc_handlers(self._services)
        if self._reflected:
            _enable_reflection(server, self._reflected)
        target = f"{_host(address)}:{port}"
        try:
            if self._read_certificates is None:
                self.port = server.add_insecure_port(target)
            else:
                self.port = server.add_secure_port(target, _credentials(self._read_certificates))
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise OSError(f"cannot listen for gRPC on {target}")
        await server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls and waits for those in work.

        Args:
            grace_seconds: after these, the rest is cancelled.
        """
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace_seconds)


def _host(address: str) -> str:
    if not address:
        return "[::]"
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address


def _credentials(read: Callable[[], Certificates]) -> grpc.ServerCredentials:
    used = read()

    def renewed() -> Any:
        """Returns another configuration if there is one; a broken file leaves the one in use."""
        nonlocal used
        try:
            found = read()
        except ValueError:
            return None
        if found == used:
            return None
        used = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used), renewed, require_client_authentication=bool(used.client_authority)
    )


def _configuration(certificates: Certificates) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.certificate)], root_certificates=certificates.client_authority or None
    )


def _enable_reflection(server: Any, files: tuple[Any, ...]) -> None:
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha import reflection, reflection_pb2

    pool = DescriptorPool()
    names = [reflection.SERVICE_NAME]
    for file in (*files, reflection_pb2.DESCRIPTOR):
        pool.AddSerializedFile(file.serialized_pb)
        names += [service.full_name for service in file.services_by_name.values() if service.full_name not in names]
    reflection.enable_server_reflection(names, server, pool=pool)
