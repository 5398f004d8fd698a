"""Signatures with which the application allows a user to track keys: `iat:exp:hex`."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from ..settings import SharedPollSettings

GRACE_SECONDS = 5
"""An expired signature is accepted for so long: clocks differ, and requests take time."""

_FORM = re.compile(r"(-?[0-9]{1,18}):(-?[0-9]{1,18}):([0-9a-f]{64})")


class SignatureInvalid(Exception):
    """The signature is not for these keys, this channel or this user, or is not one at all."""


class SignatureExpired(Exception):
    """The signature is right, but expired."""


def verify_signature(
    settings: SharedPollSettings, signature: str, *, user: str, channel: str, keys: Sequence[str], now: float
) -> int:
    """Checks that the application allows a user to track keys.

    The MAC is over times, user, channel and the digest of the keys in the order in which they were sent, with a zero byte
    between any two.

    Args:
        settings: the secrets (`shared_poll.*`).
        signature: `iat:exp:hex`, Unix seconds and an HMAC with SHA-256.
        user: user id, empty for anonymous.
        channel, keys: what is to be tracked; keys have no zero byte.
        now: Unix seconds.

    Returns:
        When it expires, Unix seconds; 0 for never.

    Raises:
        SignatureInvalid, SignatureExpired: it may not.
    """
    form = _FORM.fullmatch(signature)
    if form is None or not settings.hmac_secret_key:
        raise SignatureInvalid
    issued, expires, mac = form.groups()
    digest = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    signed = f"{issued}\0{expires}\0{user}\0{channel}\0{digest}".encode()
    if not _matches(settings.hmac_secret_key, signed, mac):
        previous, until = settings.hmac_previous_secret_key, settings.hmac_previous_secret_key_valid_until
        if not previous or 0 < until < int(issued) or not _matches(previous, signed, mac):
            raise SignatureInvalid
    expire_at = max(int(expires), 0)
    if expire_at and expire_at + GRACE_SECONDS < int(now):
        raise SignatureExpired
    return expire_at


def _matches(secret: str, signed: bytes, mac: str) -> bool:
    return hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), mac)
