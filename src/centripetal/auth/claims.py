"""Claims of connection and subscription tokens: their JSON, its bounds, and what it means."""

from __future__ import annotations

import binascii
import math
from typing import TypeVar

import msgspec

from ..interfaces import ServerSubscription, SubscriptionOverrides, TokenInvalid

MAX_NESTING = 64
"""Claims nested deeper are invalid."""

MAX_SUBSCRIPTIONS = 4096
"""A connection token with more server-side subscriptions is invalid."""

MAX_UNIX_SECONDS = 2**53
"""Later times are taken for this one, so that they stay exact in every encoding."""

Number = int | float
C = TypeVar("C", bound="RegisteredClaims")


class Flag(msgspec.Struct, frozen=True):
    """A replaced option; without a value it is off."""

    value: bool | None = None


class OverrideClaim(msgspec.Struct, frozen=True):
    """The claim `override`."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None
    force_push_join_leave: Flag | None = None


class SubscriptionOptionsClaim(msgspec.Struct, frozen=True):
    """One value of the claim `subs`."""

    info: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64info: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64data: str | None = None
    override: OverrideClaim | None = None


class RegisteredClaims(msgspec.Struct, frozen=True):
    """What both kinds of token have (RFC 7519, 4.1, and `expire_at`, `info`, `b64info`)."""

    sub: str | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    exp: Number | None = None
    nbf: Number | None = None
    iat: Number | None = None
    jti: str | None = None
    expire_at: Number | None = None
    info: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64info: str | None = None
    channel: str | None = None


class ConnectionTokenClaims(RegisteredClaims, frozen=True):
    """The payload of a connection token."""

    channels: list[str] | None = None
    subs: dict[str, SubscriptionOptionsClaim | None] | None = None
    meta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class SubscriptionTokenClaims(RegisteredClaims, frozen=True):
    """The payload of a subscription token."""

    client: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64data: str | None = None
    override: OverrideClaim | None = None


def decode_claims(payload: bytes, decoder: msgspec.json.Decoder[C]) -> C:
    """Decodes claims within the bounds.

    Args:
        payload: JSON text.
        decoder: of the wanted kind.

    Raises:
        TokenInvalid: it is not JSON of UTF-8 text, is nested too deeply, or a claim has a wrong type.
    """
    try:
        if not payload.isascii():
            payload.decode()
        if payload.count(b"{") + payload.count(b"[") > MAX_NESTING:
            _bound_nesting(payload)
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise TokenInvalid(f"token claims have a wrong type: {_path_of(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenInvalid("token claims are malformed") from None


def _path_of(error: msgspec.ValidationError) -> str:
    # The text may quote the token's values; the path to them does not, apart from keys, which are shortened.
    _, found, path = str(error).rpartition(" - at ")
    return path[:64] if found else "not an object"


_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def _bound_nesting(payload: bytes) -> None:
    # What is escaped goes first, pairs of backslashes before escaped quotes; then only quotes delimit strings.
    structure = payload.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    depth = 0
    for outside in structure.split(b'"')[::2]:
        for byte in outside:
            depth += 1 if byte in b"[{" else -1
            if depth > MAX_NESTING:
                raise TokenInvalid("token claims are nested too deeply")


def is_in_time(claims: RegisteredClaims, now: float) -> bool:
    """Whether `exp` lies after `now` and `nbf` before it, with no leeway; `now` in Unix seconds."""
    return (claims.exp is None or claims.exp > now) and (claims.nbf is None or claims.nbf < now)


def expiry_of(claims: RegisteredClaims) -> int:
    """Returns when the connection or subscription ends, in Unix seconds; 0 for never.

    `expire_at` counts before `exp`; a value that is not positive means never.
    """
    at = claims.exp if claims.expire_at is None else claims.expire_at
    if at is None or not at > 0:
        return 0
    return int(min(at, MAX_UNIX_SECONDS))


def info_of(raw: msgspec.Raw | msgspec.UnsetType, encoded: str | None, claim: str) -> bytes:
    """Returns a value that comes as JSON (`info`, `data`) or as Base64 (`b64info`, `b64data`), which wins.

    Raises:
        TokenInvalid: the Base64 is wrong.
    """
    if encoded:
        try:
            return binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            raise TokenInvalid(f"token claim {claim} is not Base64") from None
    if raw is msgspec.UNSET:
        return b""
    return bytes(raw)


def meta_of(raw: msgspec.Raw | msgspec.UnsetType) -> bytes:
    """Returns the claim `meta`, an object, as JSON text; empty for none.

    Raises:
        TokenInvalid: it is something else.
    """
    if raw is msgspec.UNSET:
        return b""
    meta = bytes(raw)
    if meta == b"null":
        return b""
    if not meta.startswith(b"{"):
        raise TokenInvalid("token claim meta is not an object")
    return meta


def overrides_of(claim: OverrideClaim | None) -> SubscriptionOverrides | None:
    """Returns the replaced options; None if there are none."""
    if claim is None:
        return None
    return SubscriptionOverrides(
        presence=_value_of(claim.presence),
        join_leave=_value_of(claim.join_leave),
        force_recovery=_value_of(claim.force_recovery),
        force_positioning=_value_of(claim.force_positioning),
        force_push_join_leave=_value_of(claim.force_push_join_leave),
    )


def _value_of(flag: Flag | None) -> bool | None:
    return None if flag is None else bool(flag.value)


def subscriptions_of(claims: ConnectionTokenClaims) -> dict[str, ServerSubscription]:
    """Returns the server-side subscriptions: of `subs`, or without any there of `channels`.

    Raises:
        TokenInvalid: there are too many, or the Base64 of one is wrong.
    """
    if claims.subs:
        if len(claims.subs) > MAX_SUBSCRIPTIONS:
            raise TokenInvalid("token claim subs has too many entries")
        return {channel: _subscription_of(options) for channel, options in claims.subs.items()}
    if claims.channels:
        if len(claims.channels) > MAX_SUBSCRIPTIONS:
            raise TokenInvalid("token claim channels has too many entries")
        return dict.fromkeys(claims.channels, _PLAIN_SUBSCRIPTION)
    return {}


_PLAIN_SUBSCRIPTION = ServerSubscription()


def _subscription_of(options: SubscriptionOptionsClaim | None) -> ServerSubscription:
    if options is None:
        return _PLAIN_SUBSCRIPTION
    return ServerSubscription(
        info=info_of(options.info, options.b64info, "subs.b64info"),
        data=info_of(options.data, options.b64data, "subs.b64data"),
        overrides=overrides_of(options.override),
    )


def text_of(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    """Returns the text of a claim of any type, for `user_id_claim`; empty for an absent one or null.

    Raises:
        TokenInvalid: it is a number beyond all bounds or malformed text.
    """
    if raw is msgspec.UNSET:
        return ""
    text = bytes(raw).decode()
    if text == "null":
        return ""
    if text.startswith('"'):
        try:
            return msgspec.json.decode(text, type=str)
        except msgspec.DecodeError:
            raise TokenInvalid("token's user id claim is malformed") from None
    if text[0] not in "-0123456789" or text.lstrip("-").isdigit():
        return text
    number = float(text)
    if not math.isfinite(number):
        raise TokenInvalid("token's user id claim is not a finite number")
    return str(int(number)) if number.is_integer() and abs(number) < MAX_UNIX_SECONDS else repr(number)
