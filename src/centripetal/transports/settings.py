"""Settings of listeners and transports."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.option import Uint32
from centripetal.model.tls import TlsSettings


class AutocertSettings(Struct, frozen=True, kw_only=True):
    """Certificates by ACME (`http_server.tls_autocert.*`)."""

    enabled: Annotated[bool, Meta(description="Get certificates through ACME.")] = False
    host_whitelist: Annotated[tuple[str, ...], Meta(description="Hosts allowed for ACME issuance.")] = ()
    cache_dir: Annotated[str, Meta(description="Directory keeping issued certificates.")] = ""
    email: Annotated[str, Meta(description="ACME account contact.")] = ""
    server_name: Annotated[str, Meta(description="SNI used when a client sends none.")] = ""
    http: Annotated[bool, Meta(description="Also run an http-01 challenge listener.")] = False
    http_addr: Annotated[str, Meta(description="Address of that challenge listener.")] = ":80"


class Http3Settings(Struct, frozen=True, kw_only=True):
    """QUIC next to TCP (`http_server.http3.*`)."""

    enabled: Annotated[bool, Meta(description="Serve QUIC/HTTP3 next to TCP (TLS required, not with autocert).")] = (
        False
    )


class HttpServerSettings(Struct, frozen=True, kw_only=True):
    """Listeners of the HTTP server (`http_server.*`)."""

    address: Annotated[str, Meta(description="Interface the external listener binds; empty = all.")] = ""
    port: Annotated[int, Meta(description="External listener TCP port.")] = 8000
    internal_address: Annotated[
        str, Meta(description="Interface for the internal listener; empty falls back to http_server.address.")
    ] = ""
    internal_port: Annotated[
        str,
        Meta(
            description="Separate port of api, admin, metrics, health, debug and swagger, as a text; empty = the external port."
        ),
    ] = ""
    takeover_socket: Annotated[
        str,
        Meta(
            description="Path of a Unix socket over which a new process takes over ports and channel state from the one that runs."
        ),
    ] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    tls_autocert: AutocertSettings = field(default_factory=AutocertSettings)
    tls_external: Annotated[bool, Meta(description="TLS on the external listener only.")] = False
    internal_tls: TlsSettings = field(default_factory=TlsSettings)
    http3: Http3Settings = field(default_factory=Http3Settings)
    h2c_external: Annotated[
        bool, Meta(description="Cleartext HTTP/2 on the external listener; needs distinct internal_port and no TLS.")
    ] = False

    @property
    def internal_place(self) -> tuple[str, int]:
        """Where the internal listener is; it is the external one if that is there, too."""
        return self.internal_address or self.address, int(self.internal_port or self.port)

    @property
    def has_internal_listener(self) -> bool:
        """Whether API, health and metrics have a listener of their own."""
        return self.internal_place != (self.address, self.port)


class WebSocketFrameSettings(Struct, frozen=True, kw_only=True):
    """What both WebSocket transports have in common."""

    compression: Annotated[bool, Meta(description="Offer permessage-deflate.")] = False
    compression_min_size: Annotated[int, Meta(description="Compress only frames at least this big.")] = 0
    compression_level: Annotated[int, Meta(description="Deflate level 1..9.")] = 1
    read_buffer_size: Annotated[int, Meta(description="Accepted for compatibility; buffers need no setting here.")] = 0
    use_write_buffer_pool: Annotated[
        bool, Meta(description="Accepted for compatibility; buffers need no setting here.")
    ] = False
    write_buffer_size: Annotated[int, Meta(description="Accepted for compatibility; buffers need no setting here.")] = 0
    write_timeout: Annotated[Duration, Meta(description="Deadline of one write.")] = 1.0
    message_size_limit: Annotated[int, Meta(description="Max incoming message bytes.")] = 65536
    decompressed_message_size_limit: Annotated[
        int, Meta(description="Max message bytes after inflate; 0 = 10 x message_size_limit.")
    ] = 0


class WebSocketSettings(WebSocketFrameSettings, frozen=True, kw_only=True):
    """The bidirectional WebSocket transport (`websocket.*`)."""

    disabled: Annotated[bool, Meta(description="Turn the transport off (it is on by default).")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/connection/websocket"


class SseSettings(Struct, frozen=True, kw_only=True):
    """Bidirectional emulation over Server-Sent Events (`sse.*`)."""

    enabled: Annotated[bool, Meta(description="Enable bidirectional SSE emulation.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/connection/sse"
    max_request_body_size: Annotated[int, Meta(description="Max request bytes (413 above).")] = 65536


class HttpStreamSettings(Struct, frozen=True, kw_only=True):
    """Bidirectional emulation over HTTP streaming (`http_stream.*`)."""

    enabled: Annotated[bool, Meta(description="Enable bidirectional HTTP-streaming emulation.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/connection/http_stream"
    max_request_body_size: Annotated[int, Meta(description="Max request bytes (413 above).")] = 65536


class EmulationSettings(Struct, frozen=True, kw_only=True):
    """Where clients of emulated transports send commands (`emulation.*`)."""

    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/emulation"
    max_request_body_size: Annotated[int, Meta(description="Max request bytes (413 above).")] = 65536


class WebTransportSettings(Struct, frozen=True, kw_only=True):
    """The WebTransport transport (`webtransport.*`)."""

    enabled: Annotated[bool, Meta(description="Enable bidirectional WebTransport (needs http3).")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = (
        "/connection/webtransport"
    )
    message_size_limit: Annotated[int, Meta(description="Max incoming message bytes.")] = 65536


class HttpResponseOfCode(Struct, frozen=True, kw_only=True):
    """HTTP response that replaces a connect error."""

    status_code: Annotated[int, Meta(description="HTTP status.")] = 0
    body: Annotated[str, Meta(description="Response body; empty = error message/disconnect reason.")] = ""


class HttpResponseTransform(Struct, frozen=True, kw_only=True):
    """One pair of connect code and HTTP response."""

    code: Annotated[Uint32, Meta(description="Error or disconnect code to match.")] = 0
    to: HttpResponseOfCode = field(default_factory=HttpResponseOfCode)


class HttpResponseTransformSettings(Struct, frozen=True, kw_only=True):
    """HTTP responses for failed connects."""

    enabled: Annotated[bool, Meta(description="Answer failed connect with an HTTP status.")] = False
    transforms: Annotated[
        tuple[HttpResponseTransform, ...], Meta(description="Code -> HTTP response list; unmatched codes give 500.")
    ] = ()


class UniSseSettings(Struct, frozen=True, kw_only=True):
    """Unidirectional Server-Sent Events (`uni_sse.*`)."""

    enabled: Annotated[bool, Meta(description="Enable one-way SSE.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/connection/uni_sse"
    max_request_body_size: Annotated[int, Meta(description="Max request bytes (413 above).")] = 65536
    connect_code_to_http_response: HttpResponseTransformSettings = field(default_factory=HttpResponseTransformSettings)


class UniHttpStreamSettings(Struct, frozen=True, kw_only=True):
    """Unidirectional HTTP streaming (`uni_http_stream.*`)."""

    enabled: Annotated[bool, Meta(description="Enable one-way HTTP streaming.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = (
        "/connection/uni_http_stream"
    )
    max_request_body_size: Annotated[int, Meta(description="Max request bytes (413 above).")] = 65536
    connect_code_to_http_response: HttpResponseTransformSettings = field(default_factory=HttpResponseTransformSettings)


class UniWebSocketSettings(WebSocketFrameSettings, frozen=True, kw_only=True):
    """The unidirectional WebSocket transport (`uni_websocket.*`)."""

    enabled: Annotated[bool, Meta(description="Enable one-way WebSocket.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = (
        "/connection/uni_websocket"
    )
    disable_closing_handshake: Annotated[bool, Meta(description="Close without a Close frame exchange.")] = False
    disable_disconnect_push: Annotated[bool, Meta(description="Do not send disconnect push before close.")] = False
    join_push_messages: Annotated[
        bool, Meta(description="Put several pushes in one frame using protocol delimiters.")
    ] = False


class UniGrpcSettings(Struct, frozen=True, kw_only=True):
    """The unidirectional gRPC transport (`uni_grpc.*`)."""

    enabled: Annotated[bool, Meta(description="Enable one-way gRPC stream server.")] = False
    address: Annotated[str, Meta(description="Bind address.")] = ""
    port: Annotated[int, Meta(description="Bind port.")] = 11000
    max_receive_message_size: Annotated[int, Meta(description="Max request bytes; 0 = gRPC default.")] = 0
    tls: TlsSettings = field(default_factory=TlsSettings)


class InitSettings(Struct, frozen=True, kw_only=True):
    """The endpoint that sets cookies before a connection (`init.*`)."""

    enabled: Annotated[bool, Meta(description="Expose GET endpoint returning {} (cookie/affinity warm-up).")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/connection/init"
