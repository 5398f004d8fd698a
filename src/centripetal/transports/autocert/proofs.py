"""How a host is proved to be ours: by a file at a well-known path (http-01) or by a certificate (tls-alpn-01)."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ...interfaces.request import HttpRequest, HttpResponse
from ...model.certificates import Certificates
from ..responses import plain
from ..tls import server_context
from .cache import key_as_pem
from .names import host_name

WELL_KNOWN = "/.well-known/acme-challenge/"
ALPN_PROTOCOL = "acme-tls/1"

_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_CLIENT_HELLO = (22, 1)
_OFFER = bytes((len(ALPN_PROTOCOL),)) + ALPN_PROTOCOL.encode()


def proof_context(host: str, key_authorization: str) -> ssl.SSLContext:
    """Returns the context that answers a tls-alpn-01 challenge (RFC 8737).

    Args:
        host: that is to be proved.
        key_authorization: the answer to the challenge.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([])
    digest = hashlib.sha256(key_authorization.encode()).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.UnrecognizedExtension(_IDENTIFIER, b"\x04\x20" + digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    own = Certificates(certificate.public_bytes(serialization.Encoding.PEM), key_as_pem(key))
    return server_context(own, (ALPN_PROTOCOL,))


class WatchingContext(ssl.SSLContext):
    """A front that marks the connections whose ClientHello asks for a proof, so that others are served as always.

    The module `ssl` tells nobody what protocols a client offers before it is too late to choose a certificate, except
    to a callback for debugging. It costs a call for each message, therefore only connections that begin while a proof
    is shown have it.

    Attributes:
        is_proof_shown: asked at the beginning of each connection.
    """

    is_proof_shown: Callable[[], bool]
    _watches = False

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begins a connection."""
        watch = self.is_proof_shown()
        if watch is not self._watches:
            self._watches = watch
            self._msg_callback = _mark if watch else None
        return super().wrap_bio(*arguments, **options)


def _mark(connection: Any, direction: str, _version: int, content: int, message: int, data: bytes) -> None:
    if direction == "read" and (content, message) == _CLIENT_HELLO and _OFFER in data:
        connection.asks_for_proof = True


def asks_for_proof(connection: ssl.SSLObject) -> bool:
    """Returns whether a connection comes from an authority that looks for a proof."""
    return getattr(connection, "asks_for_proof", False)


class ChallengeEndpoint:
    """The HTTP port of `http_server.tls_autocert.http`: shows proofs and sends everybody else to HTTPS.

    Args:
        find: returns the answer to a token, empty if there is none.
    """

    max_body_bytes = 0

    def __init__(self, find: Callable[[str], bytes]) -> None:
        self._find = find

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        """Answers by the head alone."""
        return self.respond(request, b"")

    def respond(self, request: HttpRequest, _body: bytes) -> HttpResponse:
        """Answers with the proof or the way to HTTPS."""
        if request.path.startswith(WELL_KNOWN):
            answer = self._find(request.path.removeprefix(WELL_KNOWN))
            return HttpResponse(200, [("Content-Type", "text/plain")], answer) if answer else plain(404)
        if request.method not in ("GET", "HEAD"):
            return plain(400)
        try:
            host = host_name(request.headers.get("host", "").partition(":")[0])
        except ValueError:
            return plain(400)
        query = f"?{request.query}" if request.query else ""
        path = quote(request.path, safe="/:@!$&'()*+,;=-._~")
        return HttpResponse(302, [("Location", f"https://{host}{path}{query}")])
