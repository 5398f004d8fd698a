"""Verifies connection and subscription tokens (`client.token`, `client.subscription_token`)."""

from __future__ import annotations

from typing import Any, Generic, Protocol

import msgspec
import re2  # type: ignore[import-untyped]

from ..interfaces import Clock, ConnectionClaims, SubscriptionClaims, TokenExpired, TokenInvalid
from .claims import (
    C,
    ConnectionTokenClaims,
    RegisteredClaims,
    SubscriptionTokenClaims,
    decode_claims,
    expiry_of,
    info_of,
    is_in_time,
    meta_of,
    overrides_of,
    subscriptions_of,
    text_of,
)
from .compact import HeaderReader, decode_segment, split_token
from .keys import KeySource, StaticKeys, TokenSettingsError
from .settings import SubscriptionTokenSettings, TokenSettings

CONNECTION_OPTION = "client.token"
SUBSCRIPTION_OPTION = "client.subscription_token"


class JwtVerifier:
    """A TokenVerifier with keys from the configuration. Immutable: new settings need a new one."""

    def __init__(
        self,
        settings: TokenSettings,
        subscription_settings: SubscriptionTokenSettings | None = None,
        *,
        clock: Clock,
        insecure_skip_signature_verify: bool = False,
    ) -> None:
        """Parses keys and expressions.

        Args:
            settings: `client.token`.
            subscription_settings: `client.subscription_token`; used for subscription tokens if `enabled`.
            clock: tells whether a token is expired.
            insecure_skip_signature_verify: `client.insecure_skip_token_signature_verify`; claims are checked still.

        Raises:
            TokenSettingsError: an option cannot be used.
        """
        checks_signatures = not insecure_skip_signature_verify
        connection_keys = _keys_of(settings, CONNECTION_OPTION, clock) if checks_signatures else None
        subscription_keys, option = connection_keys, CONNECTION_OPTION
        subscription: TokenSettings = settings
        if subscription_settings is not None and subscription_settings.enabled:
            subscription, option = subscription_settings, SUBSCRIPTION_OPTION
            subscription_keys = _keys_of(subscription, option, clock) if checks_signatures else None
        self._clock = clock
        self._connection = _Kind(ConnectionTokenClaims, settings, CONNECTION_OPTION, connection_keys)
        self._subscription = _Kind(SubscriptionTokenClaims, subscription, option, subscription_keys)

    async def verify_connection(self, token: str, *, ignore_expiry: bool = False) -> ConnectionClaims:
        """Returns the claims of a connection token.

        Args:
            token: compact form; untrusted.
            ignore_expiry: leave `exp` and `nbf` unchecked (`client.insecure`).

        Raises:
            TokenExpired: `exp` or `nbf` is violated.
            TokenInvalid: anything else is wrong with it.
        """
        kind = self._connection
        payload = await kind.verified_payload(token)
        claims = kind.read(payload)
        if claims.channel:
            raise TokenInvalid("a connection token must not have the claim channel")
        if not ignore_expiry and not is_in_time(claims, self._clock.time()):
            raise TokenExpired("token is outside of its time")
        return ConnectionClaims(
            user=kind.user_of(claims, payload),
            expire_at=expiry_of(claims),
            info=info_of(claims.info, claims.b64info, "b64info"),
            meta=meta_of(claims.meta),
            subscriptions=subscriptions_of(claims),
        )

    async def verify_subscription(self, token: str, *, ignore_expiry: bool = False) -> SubscriptionClaims:
        """Returns the claims of a subscription token; arguments and errors as of verify_connection()."""
        kind = self._subscription
        payload = await kind.verified_payload(token)
        claims = kind.read(payload)
        if not ignore_expiry and not is_in_time(claims, self._clock.time()):
            raise TokenExpired("token is outside of its time")
        if not claims.channel:
            raise TokenInvalid("a subscription token needs the claim channel")
        return SubscriptionClaims(
            user=kind.user_of(claims, payload),
            client=claims.client or "",
            channel=claims.channel,
            expire_at=expiry_of(claims),
            info=info_of(claims.info, claims.b64info, "b64info"),
            data=info_of(claims.data, claims.b64data, "b64data"),
            overrides=overrides_of(claims.override),
        )


def _keys_of(settings: TokenSettings, option: str, clock: Clock) -> KeySource:
    if settings.jwks_public_endpoint:
        raise TokenSettingsError(f"{option}.jwks_public_endpoint: key sets are not supported by this version")
    return StaticKeys(settings, option=option, clock=clock)


class _Kind(Generic[C]):
    """How one kind of token is verified: keys, expectations, and where the user id is."""

    def __init__(self, claims: type[C], settings: TokenSettings, option: str, keys: KeySource | None) -> None:
        for claim in ("issuer", "audience"):
            if getattr(settings, claim) and getattr(settings, f"{claim}_regex"):
                raise TokenSettingsError(f"{option}.{claim}: cannot be used together with {option}.{claim}_regex")
        self._keys = keys
        self._headers = HeaderReader()
        self._decoder = msgspec.json.Decoder(claims)
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._issuer_expression = _compile(settings.issuer_regex, f"{option}.issuer_regex")
        self._audience_expression = _compile(settings.audience_regex, f"{option}.audience_regex")
        self._checks_names = bool(
            settings.issuer or settings.audience or settings.issuer_regex or settings.audience_regex
        )
        self._user_decoder = _user_decoder(settings.user_id_claim) if settings.user_id_claim else None

    async def verified_payload(self, token: str) -> bytes:
        """Returns the claims' JSON text once the signature is right."""
        signed = split_token(token, self._headers)
        if self._keys is None:
            decode_segment(signed.signature)  # Unchecked, but still the form of a token.
        else:
            await self._keys.check(signed)
        return decode_segment(signed.payload)

    def read(self, payload: bytes) -> C:
        """Decodes claims and checks issuer and audience."""
        claims = decode_claims(payload, self._decoder)
        if self._checks_names:
            self._check_names(claims)
        return claims

    def _check_names(self, claims: RegisteredClaims) -> None:
        issuer = claims.iss or ""
        if self._issuer and issuer != self._issuer:
            raise TokenInvalid("token issuer is wrong")
        if self._issuer_expression is not None and not self._issuer_expression.search(issuer):
            raise TokenInvalid("token issuer does not match")
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if self._audience and self._audience not in audiences:
            raise TokenInvalid("token audience is wrong")
        expression = self._audience_expression
        if expression is not None and not any(expression.search(audience) for audience in audiences):
            raise TokenInvalid("token audience does not match")

    def user_of(self, claims: RegisteredClaims, payload: bytes) -> str:
        """Returns the user id: of `sub`, or of `user_id_claim` alone when that is set."""
        if self._user_decoder is None:
            return claims.sub or ""
        return text_of(self._user_decoder.decode(payload).value)


class _Expression(Protocol):
    def search(self, text: str) -> object | None: ...


def _compile(expression: str, option: str) -> _Expression | None:
    if not expression:
        return None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled: _Expression = re2.compile(expression, options)
    except re2.error as error:
        cause = error.args[0]
        text = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
        raise TokenSettingsError(f"{option}: not a valid expression: {text}") from None
    return compiled


def _user_decoder(claim: str) -> msgspec.json.Decoder[Any]:
    shape = msgspec.defstruct(
        "UserClaim",
        [("value", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)],
        rename={"value": claim},
    )
    return msgspec.json.Decoder(shape)
