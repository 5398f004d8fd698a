"""What a token verifier provides: the claims of connection and subscription tokens."""

from __future__ import annotations

from typing import Protocol

import msgspec


class SubscriptionOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """Namespace options that a token, proxy or API call replaces for one subscription; None keeps the namespace's.

    Attributes are named after the options (claim `override`).
    """

    presence: bool | None = None
    join_leave: bool | None = None
    force_recovery: bool | None = None
    force_positioning: bool | None = None
    force_push_join_leave: bool | None = None


class ServerSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the claim `subs`: a server-side subscription and its options."""

    info: bytes = b""
    data: bytes = b""
    overrides: SubscriptionOverrides | None = None


class ConnectionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """A verified connection token.

    Attributes:
        user: user id, empty for anonymous.
        expire_at: Unix seconds at which the connection expires; 0 for never.
        info: connection info (`info`, `b64info`); empty for none.
        meta: the claim `meta` as JSON text; empty for none.
        subscriptions: from `subs`, or else from `channels`, by channel; in the token's order.
    """

    user: str = ""
    expire_at: int = 0
    info: bytes = b""
    meta: bytes = b""
    subscriptions: dict[str, ServerSubscription] = {}


class SubscriptionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """A verified subscription token.

    Attributes:
        user: user id that the token is for.
        client: connection id that it is for; empty for any.
        channel: channel that it is for.
        expire_at: Unix seconds at which the subscription expires; 0 for never.
        info: channel info; empty for none.
        data: goes to the client in the subscribe reply; empty for none.
        overrides: replaced namespace options.
    """

    user: str = ""
    client: str = ""
    channel: str = ""
    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    overrides: SubscriptionOverrides | None = None


class TokenVerifier(Protocol):
    """Verifies JSON Web Tokens. Coroutines with static keys never suspend."""

    async def verify_connection(self, token: str, *, ignore_expiry: bool = False) -> ConnectionClaims:
        """Returns the claims of a connection token.

        Raises:
            TokenExpired: `exp` or `nbf` is violated.
            TokenInvalid: anything else is wrong with it.
        """

    async def verify_subscription(self, token: str, *, ignore_expiry: bool = False) -> SubscriptionClaims:
        """Returns the claims of a subscription token; raises as verify_connection()."""


class TokenInvalid(Exception):
    """A token is malformed, badly signed, or has wrong claims. The text is for the operator, without the token."""


class TokenExpired(Exception):
    """A token is past `exp` or before `nbf`."""
