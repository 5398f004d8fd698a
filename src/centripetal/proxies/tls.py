"""TLS of calls to backends (`http.tls` and `grpc.tls` of a proxy)."""

from __future__ import annotations

import os
import ssl
import tempfile

from ..model.tls import TlsSettings


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """Returns the context of HTTP calls.

    Args:
        tls: enabled; its PEM options are texts by now.

    Raises:
        ValueError: a certificate or key cannot be used; the text begins with the option.
    """
    try:
        context = ssl.create_default_context(cadata=tls.server_ca_pem or None)
    except (ssl.SSLError, ValueError):
        raise ValueError("server_ca_pem: holds no certificate that can be used") from None
    if tls.cert_pem or tls.key_pem:
        _load_own(context, tls)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_own(context: ssl.SSLContext, tls: TlsSettings) -> None:
    # The library takes files only: one that nobody else may read, gone in a moment.
    descriptor, path = tempfile.mkstemp(prefix="centripetal-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", errors="replace") as file:
            file.write(f"{tls.cert_pem}\n{tls.key_pem}\n")
        context.load_cert_chain(path, password=_refuse_password)
    except (ssl.SSLError, ValueError):
        raise ValueError("cert_pem: certificate and key cannot be used together") from None
    finally:
        os.unlink(path)


def _refuse_password() -> str:
    raise ValueError("the key needs a password")
