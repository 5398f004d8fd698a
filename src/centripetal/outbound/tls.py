"""TLS of connections that the server opens (`*.tls` of proxies, engines, key sets and consumers)."""

from __future__ import annotations

import ssl

from ..model.certificates import Certificates, load_authorities, pem_of
from ..model.tls import TlsSettings


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Returns the context of a client: TLS 1.2 or newer.

    The peer is checked against `server_ca_pem`, or the system's authorities without it, unless `insecure_skip_verify`;
    `cert_pem` with `key_pem` is shown to peers that ask for a certificate. A context cannot hold `server_name`: hand it
    as `server_hostname` to whatever connects. `enabled` is for the caller to look at.

    Raises:
        ValueError: an option cannot be used; the text begins with its name.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authorities = pem_of(settings, "server_ca_pem")
    if authorities:
        load_authorities(context, authorities, "server_ca_pem")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_pem or settings.key_pem:
        for name in ("cert_pem", "key_pem"):
            if not getattr(settings, name):
                raise ValueError(f"{name}: is empty; a certificate needs its key and a key its certificate")
        own = Certificates(pem_of(settings, "cert_pem").encode(), pem_of(settings, "key_pem").encode())
        own.load_into(context)
    return context
