"""Tokens for the tests, good and forged, made without the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

NOW = 1_700_000_000.5
SECRET = "a-secret-of-more-than-thirty-two-bytes"

T = TypeVar("T")


class ManualClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    claims: Any = None,
    *,
    key: str | bytes = SECRET,
    alg: str = "HS256",
    header: Any = None,
    payload: bytes | None = None,
) -> str:
    """Returns an HMAC token; `header` replaces the whole header, `payload` the encoded claims."""
    signed = encode(json.dumps(header if header is not None else {"alg": alg, "typ": "JWT"}).encode())
    signed += "." + encode(payload if payload is not None else json.dumps(claims or {}).encode())
    secret = key.encode() if isinstance(key, str) else key
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    return signed + "." + encode(hmac.new(secret, signed.encode(), digest).digest())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise AssertionError("a verifier with static keys suspended")
