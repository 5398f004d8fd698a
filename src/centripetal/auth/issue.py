"""Signs tokens with the configured HMAC key, for the console and the development mode."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from ..interfaces import Clock
from .compact import encode_segment
from .keys import TokenSettingsError
from .settings import SubscriptionTokenSettings, TokenSettings

_HEADER = encode_segment(b'{"alg":"HS256","typ":"JWT"}')


def sign_connection_token(settings: TokenSettings, user: str, ttl_seconds: int, clock: Clock) -> str:
    """Returns an HS256 connection token.

    Args:
        settings: `client.token` with `hmac_secret_key`, and `user_id_claim` if it is used.
        user: user id, empty for anonymous.
        ttl_seconds: how long it is valid; negative for always.
        clock: tells the time of issue.

    Raises:
        TokenSettingsError: there is no HMAC key.
    """
    return _sign(settings, "client.token", _claims(settings, user, ttl_seconds, clock))


def sign_subscription_token(
    settings: TokenSettings,
    subscription_settings: SubscriptionTokenSettings | None,
    user: str,
    channel: str,
    ttl_seconds: int,
    clock: Clock,
) -> str:
    """Returns an HS256 subscription token.

    Args:
        settings: `client.token`.
        subscription_settings: `client.subscription_token`; used instead if `enabled`.
        user: user id, empty for anonymous.
        channel: the channel that it opens.
        ttl_seconds: how long it is valid; negative for always.
        clock: tells the time of issue.

    Raises:
        TokenSettingsError: there is no HMAC key.
    """
    option = "client.token"
    if subscription_settings is not None and subscription_settings.enabled:
        settings, option = subscription_settings, "client.subscription_token"
    return _sign(settings, option, {**_claims(settings, user, ttl_seconds, clock), "channel": channel})


def _claims(settings: TokenSettings, user: str, ttl_seconds: int, clock: Clock) -> dict[str, Any]:
    now = int(clock.time())
    claims: dict[str, Any] = {}
    if user:
        claims["sub"] = user
    claims["iat"] = now
    if ttl_seconds >= 0:
        claims["exp"] = now + ttl_seconds
    if settings.user_id_claim:
        claims[settings.user_id_claim] = user
    return claims


def _sign(settings: TokenSettings, option: str, claims: dict[str, Any]) -> str:
    if not settings.hmac_secret_key:
        raise TokenSettingsError(
            f"{option}.hmac_secret_key: not set, and only HMAC tokens can be made here; "
            "sign tokens for RSA, ECDSA or JWKS with your own tools"
        )
    signed = _HEADER + b"." + encode_segment(msgspec.json.encode(claims))
    signature = hmac.digest(settings.hmac_secret_key.encode(), signed, "sha256")
    return (signed + b"." + encode_segment(signature)).decode()
