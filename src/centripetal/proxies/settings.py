"""Settings of calls to the application's backend."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.option import Secret, Uint32
from centripetal.model.tls import TlsSettings
from centripetal.node.settings import UnidirectionalDisconnect

GRPC_SCHEME = "grpc://"
"""May stand before the host and port of a gRPC endpoint."""


def is_http(endpoint: str) -> bool:
    """Whether a backend is asked over HTTP; otherwise it is gRPC."""
    return endpoint.startswith(("http://", "https://"))


class TransformError(Struct, frozen=True, kw_only=True):
    """Client error for an HTTP status."""

    code: Annotated[Uint32, Meta(description="Client error code to return.")] = 0
    message: Annotated[str, Meta(description="Client error text.")] = ""
    temporary: Annotated[bool, Meta(description="Mark the error as retryable.")] = False


class TransformDisconnect(Struct, frozen=True, kw_only=True):
    """Disconnect for an HTTP status."""

    code: Annotated[Uint32, Meta(description="Disconnect code to use.")] = 0
    reason: Annotated[str, Meta(description="Disconnect reason text.")] = ""


class StatusTransform(Struct, frozen=True, kw_only=True):
    """What one HTTP status of the backend means to the client."""

    status_code: Annotated[int, Meta(description="HTTP status to match.")] = 0
    to_error: TransformError = field(default_factory=TransformError)
    to_disconnect: UnidirectionalDisconnect = field(default_factory=UnidirectionalDisconnect)


class HttpProxySettings(Struct, frozen=True, kw_only=True):
    """HTTP calls of a proxy."""

    tls: TlsSettings = field(default_factory=TlsSettings)
    static_headers: Annotated[dict[str, str], Meta(description="Constant headers, lowest priority.")] = {}
    status_to_code_transforms: Annotated[
        tuple[StatusTransform, ...], Meta(description="Map backend HTTP status to client error or disconnect.")
    ] = ()


class GrpcProxySettings(Struct, frozen=True, kw_only=True):
    """gRPC calls of a proxy."""

    tls: TlsSettings = field(default_factory=TlsSettings)
    credentials_key: Annotated[str, Meta(description="Per-RPC credential metadata key.")] = ""
    credentials_value: Annotated[Secret, Meta(description="Per-RPC credential value.")] = ""
    compression: Annotated[bool, Meta(description="Gzip outgoing calls.")] = False
    static_metadata: Annotated[dict[str, str], Meta(description="Constant metadata, lowest priority.")] = {}


class ProxySettings(Struct, frozen=True, kw_only=True):
    """One backend that is asked about events."""

    endpoint: Annotated[str, Meta(description="Http(s):// URL or gRPC address (grpc:// or host:port).")] = ""
    timeout: Annotated[Duration, Meta(description="Time allowed per proxy call.")] = 1.0
    http_headers: Annotated[
        tuple[str, ...], Meta(description="Transport request headers copied to the backend (case-insensitive).")
    ] = ()
    grpc_metadata: Annotated[
        tuple[str, ...], Meta(description="Uni_grpc request metadata keys copied to the backend.")
    ] = ()
    emulated_headers: Annotated[
        tuple[str, ...], Meta(description="Names taken from the connect frame's headers map.")
    ] = ()
    binary_encoding: Annotated[bool, Meta(description="Send/accept payloads as base64 (b64data).")] = False
    include_connection_meta: Annotated[bool, Meta(description="Attach connection meta to requests.")] = False
    http: HttpProxySettings = field(default_factory=HttpProxySettings)
    grpc: GrpcProxySettings = field(default_factory=GrpcProxySettings)


class NamedProxySettings(ProxySettings, frozen=True, kw_only=True):
    """One entry of `proxies`."""

    name: Annotated[str, Meta(description="Proxy name (regex ^[-a-zA-Z0-9_.]{2,}$, unique, 'default' reserved).")] = ""


class EventProxySettings(ProxySettings, frozen=True, kw_only=True):
    """A proxy with a switch of its own (`client.proxy.*`)."""

    enabled: Annotated[bool, Meta(description="Ask the backend on token-less connects.")] = False


class ClientProxySettings(Struct, frozen=True, kw_only=True):
    """Proxies of connection events (`client.proxy.*`)."""

    connect: EventProxySettings = field(default_factory=EventProxySettings)
    refresh: EventProxySettings = field(default_factory=EventProxySettings)


class ChannelProxySettings(Struct, frozen=True, kw_only=True):
    """Default proxies of channel events (`channel.proxy.*`)."""

    subscribe: ProxySettings = field(default_factory=ProxySettings)
    publish: ProxySettings = field(default_factory=ProxySettings)
    sub_refresh: ProxySettings = field(default_factory=ProxySettings)
    subscribe_stream: ProxySettings = field(default_factory=ProxySettings)
    cache_empty: ProxySettings = field(default_factory=ProxySettings)
    map_publish: ProxySettings = field(default_factory=ProxySettings)
    map_remove: ProxySettings = field(default_factory=ProxySettings)
    shared_poll_refresh: ProxySettings = field(default_factory=ProxySettings)
