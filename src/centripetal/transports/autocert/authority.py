"""An ACME server and our account with it."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"

ANSWER_SECONDS = 20
"""For one answer of the server."""

ISSUE_SECONDS = 120
"""For all of an order; the server checks our proof meanwhile."""

MAX_ERROR_LENGTH = 400

for name in ("acme", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)  # they log whole requests otherwise


class AuthorityError(Exception):
    """The authority did not give a certificate. The text is one line of bounded length."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What must be shown to an authority that looks whether a host is ours.

    Attributes:
        host: its name.
        kind: `http-01` or `tls-alpn-01`.
        token: names the challenge.
        key_authorization: the answer to it.
    """

    host: str
    kind: str
    token: str
    key_authorization: str


@challenges.ChallengeResponse.register
class _AlpnResponse(challenges.KeyAuthorizationChallengeResponse):
    typ = TLS_ALPN_01


@challenges.Challenge.register
class _AlpnChallenge(challenges.KeyAuthorizationChallenge):
    """RFC 8737, which the library does not know."""

    typ = TLS_ALPN_01
    response_cls = _AlpnResponse

    def validation(self, account_key: JWK, **_unused: Any) -> str:
        return self.key_authorization(account_key)


class Authority:
    """Orders certificates. It blocks: call it in a thread.

    Args:
        directory_url: where the server describes itself.
        account_key: of the account, which is made if there is none.
        email: contact of the account, empty for none.
    """

    def __init__(self, directory_url: str, account_key: ec.EllipticCurvePrivateKey, email: str = "") -> None:
        self._directory_url = directory_url
        self._key = JWKEC(key=account_key)
        self._email = email

    def issue(self, host: str, key: ec.EllipticCurvePrivateKey, kind: str, show: Callable[[Proof], None]) -> bytes:
        """Orders a certificate and waits for it.

        Args:
            host: its only name.
            key: which it is for.
            kind: how to prove that the host is ours.
            show: has the proof ready when it returns.

        Returns:
            The chain as PEM.

        Raises:
            AuthorityError: there is no certificate.
        """
        try:
            return self._issue(host, key, kind, show)
        except (errors.Error, messages.Error, requests.RequestException, JoseError, KeyError) as error:
            raise AuthorityError(_text_of(error)) from error

    def _issue(self, host: str, key: ec.EllipticCurvePrivateKey, kind: str, show: Callable[[Proof], None]) -> bytes:
        server = self._connect()
        order = server.new_order(_signing_request(host, key))
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue
            offered = {body.chall.typ: body for body in authorization.body.challenges}
            if kind not in offered:
                raise AuthorityError(f"the authority does not offer {kind}")
            chosen = offered[kind]
            show(Proof(host, kind, chosen.chall.encode("token"), chosen.chall.key_authorization(self._key)))
            server.answer_challenge(chosen, chosen.chall.response(self._key))
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=ISSUE_SECONDS)
        return str(server.poll_and_finalize(order, deadline).fullchain_pem).encode()

    def _connect(self) -> client.ClientV2:
        network = client.ClientNetwork(
            self._key, alg=ES256, user_agent="centripetal", timeout=ANSWER_SECONDS, verify_ssl=True
        )
        server = client.ClientV2(client.ClientV2.get_directory(self._directory_url, network), network)
        wanted = messages.NewRegistration.from_data(email=self._email or None, terms_of_service_agreed=True)
        try:
            server.new_account(wanted)
        except errors.ConflictError as known:  # the account exists
            network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
        return server


def _signing_request(host: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _text_of(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, errors.ValidationError):
        text = "; ".join(
            f"{body.chall.typ}: {body.error.detail}"
            for failed in error.failed_authzrs
            for body in failed.body.challenges
            if body.error is not None
        )
    return " ".join(text.split())[:MAX_ERROR_LENGTH]
