"""TLS of the listeners: contexts of the server's side, and certificates that change without a restart.

A listener keeps one context for good, the front. It has no certificate; when a ClientHello has named a host, the
connection gets the context that is right for it at that moment. So new handshakes see new certificates while open
connections keep theirs, and clients resume sessions across the change, as tickets belong to the front.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from cryptography import x509

from ..model.certificates import Certificates, certificate_paths, load_authorities, read_certificates
from ..model.tls import TlsSettings
from .settings import AutocertSettings, HttpServerSettings

HTTP_VERSIONS = ("h2", "http/1.1")
"""What the front door speaks over TLS (ALPN)."""

HANDSHAKE_SECONDS = 10.0
"""So long a client may take for its handshake."""

SHUTDOWN_SECONDS = 5.0
"""So long a client may take to say goodbye on the TLS level."""

LOOK_SECONDS = 2
"""Between two looks at the files."""

Context = TypeVar("Context", bound=ssl.SSLContext)

Choose = Callable[[ssl.SSLObject, str], ssl.SSLContext | None]
"""Takes a connection and the host that its client named, empty for none; returns the context, None to refuse."""

_log = structlog.get_logger("centripetal.tls")


def tls_of(server: HttpServerSettings, door: str) -> tuple[str, TlsSettings | AutocertSettings | None]:
    """Returns what gives a listener its certificate, and the path of that section; None if it speaks no TLS.

    The external one has its certificate from ACME if `tls_autocert` is enabled, else by `tls`. The internal one has its
    own if `internal_tls` is enabled, else that of the external one, or none at all with `tls_external`.

    Args:
        server: the options.
        door: `external` or `internal`; without an internal port of its own there is only the external one.
    """
    if door == "internal":
        if server.internal_tls.enabled:
            return "http_server.internal_tls", server.internal_tls
        if server.tls_external:
            return "", None
    if server.tls_autocert.enabled:
        return "http_server.tls_autocert", server.tls_autocert
    return ("http_server.tls", server.tls) if server.tls.enabled else ("", None)


def server_context(certificates: Certificates, alpn: Sequence[str] = HTTP_VERSIONS) -> ssl.SSLContext:
    """Returns the context of a server: TLS 1.2 or newer.

    Args:
        certificates: of the server; with `client_authority`, clients must show a certificate of it.
        alpn: protocols in order of preference.

    Raises:
        ValueError: the certificates cannot be used; the text begins with the option's name.
    """
    context = _bare_context(ssl.SSLContext, mutual=bool(certificates.client_authority))
    context.set_alpn_protocols(list(alpn))
    certificates.load_into(context)
    if certificates.client_authority:
        load_authorities(context, certificates.client_authority.decode(), "client_ca_pem")
    return context


def front_context(choose: Choose, kind: type[Context], *, mutual: bool = False) -> Context:
    """Returns a context that leaves the certificate of each handshake to a function.

    Args:
        choose: see Choose.
        kind: class of the context.
        mutual: clients must show a certificate; the chosen context says of which authority.
    """

    def answer(connection: ssl.SSLObject, host: str | None, _front: ssl.SSLContext) -> int | None:
        chosen = choose(connection, host or "")
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = chosen
        return None

    context = _bare_context(kind, mutual=mutual)
    context.num_tickets = 1
    context.sni_callback = answer
    return context


def _bare_context(kind: type[Context], *, mutual: bool) -> Context:
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    return context


def expiry_of(certificate: bytes) -> datetime:
    """Returns when the first certificate of a PEM chain ends.

    Raises:
        ValueError: it holds none.
    """
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


class ListenerTls:
    """TLS of a listener by a unified TLS object (`http_server.tls`, `http_server.internal_tls`).

    Args:
        option: path of the object, for logs.
        settings: the object.
        alpn: protocols in order of preference.

    Attributes:
        context: what the listener starts with.

    Raises:
        ValueError: the certificates cannot be used; the text begins with the option's name.
    """

    def __init__(self, option: str, settings: TlsSettings, alpn: Sequence[str] = HTTP_VERSIONS) -> None:
        self._option = option
        self._settings = settings
        self._alpn = tuple(alpn)
        self._stamps = self._seen = self._look()
        self._until_look = LOOK_SECONDS
        self._used = read_certificates(settings)
        self._current = server_context(self._used, self._alpn)
        mutual = bool(self._used.client_authority)
        self.context = front_context(lambda _connection, _host: self._current, ssl.SSLContext, mutual=mutual)
        self._tell("certificate_loaded")

    @property
    def certificates(self) -> Certificates:
        """What handshakes use at this moment; another object after each change."""
        return self._used

    def reload(self, settings: TlsSettings | None = None) -> None:
        """Reads the certificates anew, for handshakes from now on. Broken ones leave those in use, and are logged.

        Args:
            settings: the object if it has changed; `enabled` cannot change without a restart.
        """
        settings = settings or self._settings
        try:
            found = read_certificates(settings)
            context = server_context(found, self._alpn) if found != self._used else self._current
        except ValueError as error:
            _log.error("certificate_refused", option=self._option, error=str(error))
            return
        self._settings = settings
        self._stamps = self._seen = self._look()
        if context is not self._current:
            self._used, self._current = found, context
            self.context.verify_mode = context.verify_mode
            self._tell("certificate_renewed")

    def every_second(self) -> None:
        """Looks at the files now and then. A change counts once two looks saw the same, as it may be half written."""
        self._until_look -= 1
        if self._until_look > 0:
            return
        self._until_look = LOOK_SECONDS
        stamps = self._look()
        if stamps != self._stamps and stamps == self._seen:
            self._stamps = stamps  # a broken file is complained of once
            self.reload()
        self._seen = stamps

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in certificate_paths(self._settings)]

    def _tell(self, event: str) -> None:
        expires = expiry_of(self._used.certificate)
        report = _log.warning if expires < datetime.now(UTC) else _log.info
        report(event, option=self._option, expires=expires.isoformat())


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
