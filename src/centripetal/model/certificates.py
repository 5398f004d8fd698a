"""Certificates of one side of TLS: what an option object names, read and loaded."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .pem import pem_path, read_pem
from .tls import TlsSettings


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates as PEM.

    Attributes:
        certificate: own chain, the own certificate first; empty for none.
        key: private key of it; never shown.
        client_authority: authorities that client certificates must come from (mutual TLS); empty to ask for none.
    """

    certificate: bytes
    key: bytes
    client_authority: bytes = b""

    def __repr__(self) -> str:
        return f"Certificates(certificate={self.certificate!r}, client_authority={self.client_authority!r})"

    def load_into(self, context: ssl.SSLContext) -> None:
        """Gives a context the own certificate and its key.

        Raises:
            ValueError: they cannot be used; the text begins with the name of the option, `cert_pem` or `key_pem`.
        """
        with _file_of(self.certificate) as certificate, _file_of(self.key) as key:
            try:
                context.load_cert_chain(certificate, key, password=_refuse_password)
            except ssl.SSLError as error:
                raise ValueError(_complaint(error)) from None


def read_certificates(tls: TlsSettings) -> Certificates:
    """Reads what a listener's options name (`cert_pem`, `key_pem`, `client_ca_pem`).

    Raises:
        ValueError: one cannot be read; the text begins with the option's name.
    """
    return Certificates(*(pem_of(tls, name).encode("utf-8", "replace") for name in ("cert_pem", "key_pem", "client_ca_pem")))


def pem_of(tls: TlsSettings, name: str) -> str:
    """Returns the PEM text of an option of the object, empty if it is not set.

    Raises:
        ValueError: it cannot be read; the text begins with the option's name.
    """
    value = getattr(tls, name)
    try:
        return read_pem(value) if value else ""
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def load_authorities(context: ssl.SSLContext, pem: str, option: str) -> None:
    """Has a context trust the authorities of a PEM text.

    Args:
        context: which checks peers.
        pem: one or more certificates.
        option: where they come from, for the message.

    Raises:
        ValueError: they cannot be used; the text begins with the option's name.
    """
    try:
        context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())  # comments may be in any language
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{option}: holds no certificate that can be used") from None


def certificate_paths(tls: TlsSettings) -> list[str]:
    """Returns the files that a listener's options name; those given as text or Base64 have none."""
    values = (tls.cert_pem, tls.key_pem, tls.client_ca_pem)
    return [path for path in map(pem_path, filter(None, values)) if path]


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Lends a file with a content: OpenSSL reads from paths only. A key reaches no disk where memory can be a file."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        number = os.memfd_create("pem")
        try:
            os.write(number, content)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    number, path = tempfile.mkstemp()  # for our user's eyes only
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)


def _refuse_password() -> str:
    raise ValueError("key_pem: is encrypted; give it without a password")


def _complaint(error: ssl.SSLError) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):  # the latter: of another kind
        return "key_pem: is not the key of cert_pem"
    return f"cert_pem, key_pem: hold no certificate with its key that can be used ({error.reason or 'not PEM'})"
