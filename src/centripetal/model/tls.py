"""TLS options that several rooms share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from centripetal.model.option import Pem, PrivatePem


class TlsSettings(Struct, frozen=True, kw_only=True):
    """TLS of one listener or of one connection to a peer (options `*.tls`)."""

    enabled: Annotated[bool, Meta(description="Switch TLS on for this peer/listener.")] = False
    cert_pem: Annotated[Pem, Meta(description="Certificate (raw PEM, base64 PEM or path).")] = ""
    key_pem: Annotated[PrivatePem, Meta(description="Private key (raw PEM, base64 PEM or path).")] = ""
    server_ca_pem: Annotated[Pem, Meta(description="CA bundle a client uses to check the server.")] = ""
    client_ca_pem: Annotated[
        Pem, Meta(description="CA bundle a server uses to require and verify client certs (mTLS).")
    ] = ""
    insecure_skip_verify: Annotated[bool, Meta(description="Do not verify the peer certificate.")] = False
    server_name: Annotated[str, Meta(description="SNI/hostname to verify.")] = ""
