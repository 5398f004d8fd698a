"""Settings of the server API."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from centripetal.model.option import Secret
from centripetal.model.tls import TlsSettings


class HttpApiSettings(Struct, frozen=True, kw_only=True):
    """The server API over HTTP (`http_api.*`)."""

    disabled: Annotated[bool, Meta(description="Turn the HTTP API off.")] = False
    handler_prefix: Annotated[str, Meta(description="API path prefix.")] = "/api"
    key: Annotated[Secret, Meta(description="API key; empty means every request is 401 unless insecure.")] = ""
    error_mode: Annotated[
        Literal["", "transport"], Meta(description='"" (errors in body, HTTP 200 / OK) or "transport" (status codes).')
    ] = ""
    external: Annotated[bool, Meta(description="Also serve API on the external listener.")] = False
    insecure: Annotated[bool, Meta(description="No API key check.")] = False


class GrpcApiSettings(Struct, frozen=True, kw_only=True):
    """The server API over gRPC (`grpc_api.*`)."""

    enabled: Annotated[bool, Meta(description="Start gRPC API server.")] = False
    error_mode: Annotated[
        Literal["", "transport"], Meta(description='"" (errors in body, HTTP 200 / OK) or "transport" (status codes).')
    ] = ""
    address: Annotated[str, Meta(description="Bind address.")] = ""
    port: Annotated[int, Meta(description="Bind port.")] = 10000
    key: Annotated[Secret, Meta(description="Key for metadata authorization; empty = no check.")] = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    reflection: Annotated[bool, Meta(description="Serve gRPC reflection.")] = False
    max_receive_message_size: Annotated[int, Meta(description="Max request bytes; 0 = gRPC default (4 MiB).")] = 0


class SwaggerSettings(Struct, frozen=True, kw_only=True):
    """The description of the HTTP API as a page (`swagger.*`)."""

    enabled: Annotated[bool, Meta(description="Expose Swagger UI of the HTTP API.")] = False
    handler_prefix: Annotated[str, Meta(description="URL path this handler is mounted at.")] = "/swagger"
