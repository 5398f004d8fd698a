"""Key sets (JWKS, RFC 7517): their JSON, its bounds, and the signature checks that come of it.

A key that cannot be used (another type, another use, too weak, malformed) is passed over; the others of its set count.
"""

from __future__ import annotations

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ..interfaces import TokenInvalid
from .compact import decode_segment
from .signatures import (
    EC_ALGORITHMS,
    ED_ALGORITHM,
    MIN_RSA_BITS,
    RSA_ALGORITHMS,
    SignatureCheck,
    ec_check,
    ed_check,
    rsa_check,
)

MAX_SET_BYTES = 512 * 1024
MAX_KEYS = 256
"""A set with more keys is refused."""

MAX_KID_CHARACTERS = 512
MAX_RSA_BITS = 8192
"""Larger keys take so long to check that a flood of tokens would hold everybody up."""

MAX_RSA_EXPONENT = 2**32

Checks = dict[str, SignatureCheck]
"""By algorithm."""

_CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


class KeySetInvalid(ValueError):
    """What an endpoint sent is no key set; the text does not quote it."""


class _Set(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


class _Key(msgspec.Struct, frozen=True):
    kty: str
    kid: str
    use: str
    alg: str = ""
    key_ops: list[str] | None = None
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


_sets = msgspec.json.Decoder(_Set)
_keys = msgspec.json.Decoder(_Key)


def parse_key_set(body: bytes) -> dict[str, Checks]:
    """Reads a key set.

    Args:
        body: what the endpoint answered; not trusted.

    Returns:
        Checks by algorithm, by key id. Keys of different types may share an id; of one type the last one counts.

    Raises:
        KeySetInvalid: it is not a key set, is too large, or has no key that can be used.
    """
    found: dict[str, Checks] = {}
    for kid, checks, _ in _usable_keys(body):
        found.setdefault(kid, {}).update(checks)
    return found


def split_key_set(body: bytes) -> dict[str, bytes]:
    """Makes of a key set one for each key id, which has the keys that can be used.

    Args:
        body: what the endpoint answered; not trusted.

    Returns:
        JSON by key id.

    Raises:
        KeySetInvalid: see parse_key_set().
    """
    entries: dict[str, list[bytes]] = {}
    for kid, _, entry in _usable_keys(body):
        entries.setdefault(kid, []).append(entry)
    return {kid: b'{"keys":[' + b",".join(of_kid) + b"]}" for kid, of_kid in entries.items()}


def _usable_keys(body: bytes) -> list[tuple[str, Checks, bytes]]:
    """Returns id, checks and JSON of each key."""
    if len(body) > MAX_SET_BYTES:
        raise KeySetInvalid("the key set is too large")
    try:
        entries = _sets.decode(body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise KeySetInvalid("the answer is not a key set") from None
    if len(entries) > MAX_KEYS:
        raise KeySetInvalid(f"the key set has more than {MAX_KEYS} keys")
    found: list[tuple[str, Checks, bytes]] = []
    for entry in entries:
        try:
            key = _keys.decode(entry)
            checks = _checks_of(key)
        except (ValueError, UnsupportedAlgorithm, TokenInvalid, RecursionError):
            continue
        if checks and 0 < len(key.kid) <= MAX_KID_CHARACTERS:
            found.append((key.kid, checks, bytes(entry)))
    if not found:
        raise KeySetInvalid("the key set has no key for signatures that can be used")
    return found


def _checks_of(key: _Key) -> Checks:
    if key.use != "sig" or (key.key_ops is not None and "verify" not in key.key_ops):
        return {}
    make = _TYPES.get(key.kty)
    checks = make(key) if make else {}
    return {name: check for name, check in checks.items() if key.alg in ("", name)}


def _rsa_checks(key: _Key) -> Checks:
    exponent, modulus = _integer(key.e), _integer(key.n)
    if exponent > MAX_RSA_EXPONENT or not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        return {}
    public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return {name: rsa_check(public, hashing) for name, hashing in RSA_ALGORITHMS.items()}


def _ec_checks(key: _Key) -> Checks:
    curve = _CURVES[key.crv]() if key.crv in _CURVES else None
    if curve is None:
        return {}
    name, hashing, size = EC_ALGORITHMS[curve.name]
    public = ec.EllipticCurvePublicNumbers(_integer(key.x), _integer(key.y), curve).public_key()
    return {name: ec_check(public, hashing, size)}


def _ed_checks(key: _Key) -> Checks:
    if key.crv != "Ed25519":
        return {}
    return {ED_ALGORITHM: ed_check(ed25519.Ed25519PublicKey.from_public_bytes(decode_segment(key.x.encode())))}


def _integer(text: str) -> int:
    return int.from_bytes(decode_segment(text.rstrip("=").encode()), "big")


_TYPES = {"RSA": _rsa_checks, "EC": _ec_checks, "OKP": _ed_checks}
