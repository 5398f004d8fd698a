"""A backend over gRPC: a call of the service `centrifugal.centrifugo.proxy.CentrifugoProxy` for each event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from ..interfaces import HookError
from ..interfaces.hooks import NOTHING_FORWARDED, Event
from ..model.tls import TlsSettings
from ..outbound.result import Overloaded
from ..outbound.slots import Slots
from ..outbound.target import MAX_BODY_BYTES, MAX_CONCURRENT, MAX_WAITING
from ..protocol.protobuf_structs import struct_reader
from .answers import WIRE, response_type
from .requests import Forwarder, RequestFields
from .results import Response
from .schema import proxy_pb2 as schema
from .settings import GRPC_SCHEME, GrpcProxySettings, ProxySettings

SERVICE = schema.DESCRIPTOR.services_by_name["CentrifugoProxy"].full_name
"""Name on the wire."""

KEEPALIVE_SECONDS = 330
KEEPALIVE_TIMEOUT_SECONDS = 20
"""A stream's backend that is silent for so long is pinged, and gone if it does not answer. Servers of gRPC end connections
that ping more often than every five minutes, unless they are told to allow it."""

RECONNECT_SECONDS = 0.5
MAX_RECONNECT_SECONDS = 5
"""Calls fail at once while a backend is gone; so often it is looked for."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_BODY_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
    ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_SECONDS * 1000)),
    ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_SECONDS * 1000),
)


class GrpcChannels:
    """Connections to backends over gRPC, shared by proxies of one endpoint with the same TLS."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, TlsSettings], grpc.aio.Channel] = {}

    def channel(self, endpoint: str, tls: TlsSettings) -> grpc.aio.Channel:
        """Returns the channel to an endpoint, `grpc://host:port` or `host:port`; it connects when it is used."""
        channel = self._channels.get((endpoint, tls))
        if channel is None:
            channel = self._channels[endpoint, tls] = _open(endpoint.removeprefix(GRPC_SCHEME).rstrip("/"), tls)
        return channel

    async def close(self, grace_seconds: float, *, but: AbstractSet[tuple[str, TlsSettings]] = frozenset()) -> None:
        """Closes channels.

        Args:
            grace_seconds: their calls may go on for so long.
            but: endpoints and TLS of those that stay.
        """
        for key in self._channels.keys() - but:
            await self._channels.pop(key).close(grace_seconds)


def _open(target: str, tls: TlsSettings) -> grpc.aio.Channel:
    options = list(OPTIONS)
    if not tls.enabled:
        return grpc.aio.insecure_channel(target, options=options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(
        tls.server_ca_pem.encode() or None, tls.key_pem.encode() or None, tls.cert_pem.encode() or None
    )
    return grpc.aio.secure_channel(target, credentials, options=options)


class GrpcCaller:
    """What calls of one proxy have in common: metadata, compression, the bound on how many run at once."""

    def __init__(self, settings: ProxySettings) -> None:
        grpc_settings: GrpcProxySettings = settings.grpc
        standing = dict(grpc_settings.static_metadata)
        self.forwarder = Forwarder(settings, standing)
        self.compression = grpc.Compression.Gzip if grpc_settings.compression else None
        self.timeout_seconds = settings.timeout
        self.slots = Slots(MAX_CONCURRENT, MAX_WAITING)
        key = grpc_settings.credentials_key.lower()
        self._credentials = ((key, grpc_settings.credentials_value),) if key else ()

    def metadata(self, request: Any) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of one call."""
        caller = getattr(request, "caller", None)
        sent = self.forwarder.of(caller.forwarded if caller is not None else NOTHING_FORWARDED)
        return (*((name, value) for name, value in sent.items() if is_metadata(name, value)), *self._credentials)


def is_metadata(name: str, value: str) -> bool:
    """Whether gRPC carries this; what clients send as headers may be anything."""
    return (
        bool(name)
        and not name.startswith(("grpc-", ":"))
        and not name.endswith("-bin")
        and all(character.isascii() and (character.isalnum() or character in "-_.") for character in name)
        and all(" " <= character <= "~" for character in value)
    )


class GrpcBackend:
    """Asks about one event.

    Attributes:
        protocol: label of metrics.
        forwarder: chooses metadata.
    """

    protocol = "grpc"

    def __init__(self, event: Event[Any, Any], settings: ProxySettings, channel: grpc.aio.Channel) -> None:
        wire = WIRE[event.name]
        self._caller = GrpcCaller(settings)
        self.forwarder = self._caller.forwarder
        self._fields = RequestFields(event, settings)
        self._request = getattr(schema, wire.request)
        self._parse = getattr(schema, wire.request.replace("Request", "Response")).FromString
        self._read = struct_reader(response_type(event))
        self._call: Any = channel.unary_unary(
            f"/{SERVICE}/{wire.rpc}",
            request_serializer=self._request.SerializeToString,
        )

    async def ask(self, request: Any) -> Response[Any]:
        """Returns the backend's answer.

        Raises:
            HookError: there is none, or it makes no sense.
        """
        caller = self._caller
        message = self._request(**self._fields.of(request))
        # A timeout belongs to the task in which it begins, and a command becomes a task at its first wait.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(caller.timeout_seconds):
                await caller.slots.acquire()
                try:
                    answer = await self._call(
                        message, metadata=caller.metadata(request), compression=caller.compression
                    )
                finally:
                    caller.slots.release()
        except (TimeoutError, Overloaded, grpc.RpcError) as error:
            raise failure(error) from None
        response: Response[Any] = self._read(parsed(answer, self._parse))
        return response


def failure(error: BaseException) -> HookError:
    """Returns what a failed call is told as: the status, not the backend's own text."""
    if isinstance(error, grpc.RpcError):
        status = error.code() if hasattr(error, "code") else None
        return HookError(f"the call ended with the gRPC status {status.name if status is not None else 'UNKNOWN'}")
    return HookError("timeout: no answer in time" if isinstance(error, TimeoutError) else f"overloaded: {error}")


def parsed(message: bytes, parse: Callable[[bytes], Any]) -> Any:
    """Returns a message; the library would log malformed ones and return None.

    Raises:
        HookError: it is malformed.
    """
    try:
        return parse(message)
    except DecodeError:
        raise HookError("the answer is not a message of the protocol") from None
