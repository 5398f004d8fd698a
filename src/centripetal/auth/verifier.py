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
from .compact import HeaderReader, SignedToken, decode_segment, split_token
from .key_endpoint import KeyEndpoint
from .key_sets import KeySets
from .keys import KeySource, StaticKeys, TokenSettingsError
from .remote_keys import RemoteKeys
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
        key_sets: KeySets | None = None,
    ) -> None:
        """Parses keys and expressions.

        Args:
            settings: `client.token`.
            subscription_settings: `client.subscription_token`; used for subscription tokens if `enabled`.
            clock: tells whether a token is expired.
            insecure_skip_signature_verify: `client.insecure_skip_token_signature_verify`; claims are checked still.
            key_sets: fetches and keeps keys; needed for `jwks_public_endpoint`.

        Raises:
            TokenSettingsError: an option cannot be used.
        """
        subscription: TokenSettings = settings
        subscription_option = CONNECTION_OPTION
        if subscription_settings is not None and subscription_settings.enabled:
            subscription, subscription_option = subscription_settings, SUBSCRIPTION_OPTION
        self._clock = clock
        self._connection = _Kind(ConnectionTokenClaims, settings, CONNECTION_OPTION)
        self._subscription = _Kind(SubscriptionTokenClaims, subscription, subscription_option)
        if insecure_skip_signature_verify:
            return
        self._connection.keys = self._subscription.keys = self._keys_of(settings, CONNECTION_OPTION, key_sets)
        if subscription is not settings:
            self._subscription.keys = self._keys_of(subscription, subscription_option, key_sets)

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


    def _keys_of(self, settings: TokenSettings, option: str, key_sets: KeySets | None) -> KeySource:
        if not settings.jwks_public_endpoint:
            return StaticKeys(settings, option=option, clock=self._clock)
        if key_sets is None:
            raise TokenSettingsError(f"{option}.jwks_public_endpoint: the verifier was given nothing that fetches keys")
        return RemoteKeys(KeyEndpoint(settings, option), key_sets)


class _Kind(Generic[C]):
    """How one kind of token is verified: keys, expectations, and where the user id is.

    Attributes:
        keys: None if signatures are not checked.
    """

    keys: KeySource | None = None

    def __init__(self, claims: type[C], settings: TokenSettings, option: str) -> None:
        for claim in ("issuer", "audience"):
            if getattr(settings, claim) and getattr(settings, f"{claim}_regex"):
                raise TokenSettingsError(f"{option}.{claim}: cannot be used together with {option}.{claim}_regex")
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
        if self.keys is None:
            decode_segment(signed.signature)  # Unchecked, but still the form of a token.
        else:
            await self.keys.check(signed, self._groups_of)
        return decode_segment(signed.payload)

    def read(self, payload: bytes) -> C:
        """Decodes claims and checks issuer and audience."""
        claims = decode_claims(payload, self._decoder)
        if self._checks_names:
            self._check_names(claims)
        return claims

    def _check_names(self, claims: RegisteredClaims) -> None:
        if self._issuer and (claims.iss or "") != self._issuer:
            raise TokenInvalid("token issuer is wrong")
        if self._audience and self._audience not in _audiences(claims):
            raise TokenInvalid("token audience is wrong")
        self._match_names(claims)

    def _match_names(self, claims: RegisteredClaims) -> dict[str, str]:
        """Matches issuer and audience against their expressions; returns the named groups."""
        groups: dict[str, str] = {}
        if self._issuer_expression is not None:
            match = self._issuer_expression.search(claims.iss or "")
            if match is None:
                raise TokenInvalid("token issuer does not match")
            groups.update(match.groupdict(""))
        if self._audience_expression is not None:
            matches = map(self._audience_expression.search, _audiences(claims))
            match = next((one for one in matches if one is not None), None)
            if match is None:
                raise TokenInvalid("token audience does not match")
            groups.update(match.groupdict(""))
        return groups

    def _groups_of(self, token: SignedToken) -> dict[str, str]:
        """Reads what chooses the keys of a token from its claims, before these are verified."""
        return self._match_names(decode_claims(decode_segment(token.payload), self._decoder))

    def user_of(self, claims: RegisteredClaims, payload: bytes) -> str:
        """Returns the user id: of `sub`, or of `user_id_claim` alone when that is set."""
        if self._user_decoder is None:
            return claims.sub or ""
        return text_of(self._user_decoder.decode(payload).value)


def _audiences(claims: RegisteredClaims) -> list[str]:
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud or []


class _Match(Protocol):
    def groupdict(self, default: str) -> dict[str, str]: ...


class _Expression(Protocol):
    def search(self, text: str) -> _Match | None: ...


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
