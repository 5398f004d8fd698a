"""Keys that verify tokens: reading them from options, and checking signatures with them."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..interfaces import Clock, TokenInvalid
from .compact import SignedToken
from .settings import TokenSettings
from .signatures import (
    EC_ALGORITHMS,
    HMAC_ALGORITHMS,
    HMAC_KEY_BYTES,
    MIN_RSA_BITS,
    RSA_ALGORITHMS,
    SignatureCheck,
    ec_check,
    hmac_check,
    rsa_check,
)

MAX_KEY_FILE_BYTES = 65_536
RECOMMENDED_RSA_BITS = 2048

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class TokenSettingsError(ValueError):
    """An option of token verification cannot be used; the text names it."""


GroupsOf = Callable[[SignedToken], Mapping[str, str]]
"""Reads the named groups of `issuer_regex` and `audience_regex` from the claims of a token, which nothing vouches for yet.

Raises TokenInvalid if an expression does not match.
"""


class KeySource(Protocol):
    """Where the keys that check signatures come from."""

    async def check(self, token: SignedToken, groups_of: GroupsOf) -> None:
        """Checks the signature of a token; suspends only if it has to fetch a key.

        Args:
            token: taken apart.
            groups_of: called only if the claims say where the keys are.

        Raises:
            TokenInvalid: the signature is wrong, or there is no key for it.
        """


class StaticKeys:
    """The keys of `hmac_secret_key`, `hmac_previous_secret_key`, `rsa_public_key` and `ecdsa_public_key`.

    The algorithm that a token names only selects among those that a key was configured for, each bound to its own
    kind of key: a public key can never serve as an HMAC secret.
    """

    def __init__(self, settings: TokenSettings, *, option: str, clock: Clock) -> None:
        """Parses the keys.

        Args:
            settings: the keys.
            option: name of the settings for messages, `client.token` or `client.subscription_token`.
            clock: tells when the previous HMAC key ends.

        Raises:
            TokenSettingsError: a key cannot be used.
        """
        self._clock = clock
        self._checks: dict[str, SignatureCheck] = {}
        self._previous_until = settings.hmac_previous_secret_key_valid_until
        self._previous: dict[str, SignatureCheck] = {}
        for algorithm, digest in HMAC_ALGORITHMS.items():
            if settings.hmac_secret_key:
                self._checks[algorithm] = hmac_check(settings.hmac_secret_key.encode(), digest)
            if settings.hmac_previous_secret_key:
                self._previous[algorithm] = hmac_check(settings.hmac_previous_secret_key.encode(), digest)
        if settings.rsa_public_key:
            rsa_key = _load_rsa_key(settings.rsa_public_key, f"{option}.rsa_public_key")
            for algorithm, hashing in RSA_ALGORITHMS.items():
                self._checks[algorithm] = rsa_check(rsa_key, hashing)
        if settings.ecdsa_public_key:
            ec_key = _load_ec_key(settings.ecdsa_public_key, f"{option}.ecdsa_public_key")
            algorithm, hashing, size = EC_ALGORITHMS[ec_key.curve.name]
            self._checks[algorithm] = ec_check(ec_key, hashing, size)

    @property
    def algorithms(self) -> list[str]:
        """Names of the algorithms that tokens may be signed with."""
        return sorted({*self._checks, *self._previous})

    async def check(self, token: SignedToken, groups_of: GroupsOf) -> None:
        """Checks a signature with the key of the token's algorithm; never suspends."""
        algorithm = token.header.alg
        check = self._checks.get(algorithm)
        if check is not None and check(token):
            return
        previous = self._previous.get(algorithm)
        if previous is not None and self._previous_counts() and previous(token):
            return
        if check is None and previous is None:
            raise TokenInvalid("token algorithm is not enabled")
        raise TokenInvalid("token signature is wrong")

    def _previous_counts(self) -> bool:
        return self._previous_until <= 0 or int(self._clock.time()) <= self._previous_until


def load_public_key(value: str, option: str) -> PublicKey:
    """Reads an RSA or ECDSA public key.

    Args:
        value: PEM text of a key or certificate, Base64 of such text, or the path of a file with it.
        option: name of the option, for messages.

    Returns:
        The key.

    Raises:
        TokenSettingsError: it cannot be read, is of another kind, or is too weak to be used at all.
    """
    pem = _read_pem(value, option)
    try:
        if b"BEGIN CERTIFICATE" in pem:
            key: object = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise TokenSettingsError(f"{option}: cannot parse the PEM of a public key") from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise TokenSettingsError(f"{option}: an RSA key needs {MIN_RSA_BITS} bits at least, not {key.key_size}")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in EC_ALGORITHMS:
            raise TokenSettingsError(f"{option}: curve {key.curve.name} is not one of {', '.join(EC_ALGORITHMS)}")
        return key
    raise TokenSettingsError(f"{option}: neither an RSA nor an ECDSA public key")


def _load_rsa_key(value: str, option: str) -> rsa.RSAPublicKey:
    key = load_public_key(value, option)
    if not isinstance(key, rsa.RSAPublicKey):
        raise TokenSettingsError(f"{option}: an ECDSA key where an RSA public key is needed")
    return key


def _load_ec_key(value: str, option: str) -> ec.EllipticCurvePublicKey:
    key = load_public_key(value, option)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TokenSettingsError(f"{option}: an RSA key where an ECDSA public key is needed")
    return key


def _read_pem(value: str, option: str) -> bytes:
    marker = b"-----BEGIN "
    text = value.encode()
    if marker in text:
        return text
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        decoded = b""
    if marker in decoded:
        return decoded
    try:
        with Path(value).open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except (OSError, ValueError):
        raise TokenSettingsError(
            f"{option}: neither PEM text, nor Base64 of it, nor a file that can be read"
        ) from None
    if marker not in content or len(content) > MAX_KEY_FILE_BYTES:
        raise TokenSettingsError(f"{option}: the file holds no PEM text")
    return content


def weak_keys(settings: TokenSettings, option: str = "client.token") -> list[str]:
    """Returns warnings, each naming its option, about keys weaker than their algorithms.

    Args:
        settings: the keys.
        option: name of the settings for the messages.

    Raises:
        TokenSettingsError: a key cannot be read.
    """
    if settings.jwks_public_endpoint:
        return []  # static keys do not count beside an endpoint
    warnings = []
    for name in ("hmac_secret_key", "hmac_previous_secret_key"):
        secret = getattr(settings, name)
        if secret and len(secret.encode()) < HMAC_KEY_BYTES:
            warnings.append(
                f"{option}.{name}: {len(secret.encode())} bytes are fewer than HS256 needs ({HMAC_KEY_BYTES})"
            )
    if settings.rsa_public_key:
        key = _load_rsa_key(settings.rsa_public_key, f"{option}.rsa_public_key")
        if key.key_size < RECOMMENDED_RSA_BITS:
            warnings.append(f"{option}.rsa_public_key: {key.key_size} bits are fewer than {RECOMMENDED_RSA_BITS}")
    return warnings
