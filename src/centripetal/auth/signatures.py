"""Signatures of tokens (RFC 7518, 3 and RFC 8037, 3.1): each check is bound to one key and one algorithm."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from .compact import SignedToken, decode_segment, encode_segment

HMAC_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
HMAC_KEY_BYTES = 32
MIN_RSA_BITS = 1024
RSA_ALGORITHMS: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(), "RS384": hashes.SHA384(), "RS512": hashes.SHA512(),
}
EC_ALGORITHMS: dict[str, tuple[str, hashes.HashAlgorithm, int]] = {
    "secp256r1": ("ES256", hashes.SHA256(), 32),
    "secp384r1": ("ES384", hashes.SHA384(), 48),
    "secp521r1": ("ES512", hashes.SHA512(), 66),
}
"""Each algorithm belongs to one curve (RFC 7518, 3.4); the size is of one of the signature's two integers."""

ED_ALGORITHM = "EdDSA"

SignatureCheck = Callable[[SignedToken], bool]


def hmac_check(secret: bytes, digest: str) -> SignatureCheck:
    """Returns the check of one HMAC algorithm; `digest` as hashlib names it."""
    keyed = hmac.new(secret, digestmod=digest)

    def check(token: SignedToken) -> bool:
        signing = keyed.copy()  # a third of the time that it takes to begin with the key
        signing.update(token.signed)
        # Encoding ours rather than decoding theirs leaves one spelling of a signature valid.
        return hmac.compare_digest(encode_segment(signing.digest()), token.signature)

    return check


def rsa_check(key: rsa.RSAPublicKey, hashing: hashes.HashAlgorithm) -> SignatureCheck:
    """Returns the check of one algorithm of RSA with PKCS #1 v1.5."""
    scheme = padding.PKCS1v15()

    def check(token: SignedToken) -> bool:
        try:
            key.verify(decode_segment(token.signature), token.signed, scheme, hashing)
        except InvalidSignature:
            return False
        return True

    return check


def ec_check(key: ec.EllipticCurvePublicKey, hashing: hashes.HashAlgorithm, size: int) -> SignatureCheck:
    """Returns the check of the ECDSA algorithm of a key's curve; `size` as in EC_ALGORITHMS."""
    scheme = ec.ECDSA(hashing)

    def check(token: SignedToken) -> bool:
        signature = decode_segment(token.signature)
        if len(signature) != 2 * size:
            return False
        encoded = utils.encode_dss_signature(
            int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        )
        try:
            key.verify(encoded, token.signed, scheme)
        except InvalidSignature:
            return False
        return True

    return check


def ed_check(key: ed25519.Ed25519PublicKey) -> SignatureCheck:
    """Returns the check of EdDSA with Ed25519."""

    def check(token: SignedToken) -> bool:
        try:
            key.verify(decode_segment(token.signature), token.signed)
        except InvalidSignature:
            return False
        return True

    return check
