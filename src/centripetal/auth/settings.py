"""Settings of token verification."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from centripetal.model.option import Secret


class TokenSettings(Struct, frozen=True, kw_only=True):
    """Keys and expectations of JSON Web Tokens (`client.token.*`)."""

    hmac_secret_key: Annotated[Secret, Meta(description="HS* verification key.")] = ""
    hmac_previous_secret_key: Annotated[Secret, Meta(description="Older HS* key accepted during rotation.")] = ""
    hmac_previous_secret_key_valid_until: Annotated[
        int, Meta(description="Unix seconds until which the older key works (0 = always).")
    ] = 0
    rsa_public_key: Annotated[str, Meta(description="PEM for RS*.")] = ""
    ecdsa_public_key: Annotated[str, Meta(description="PEM for ES*.")] = ""
    jwks_public_endpoint: Annotated[
        str, Meta(description="JWKS URL (may hold {{group}} placeholders); replaces static keys.")
    ] = ""
    audience: Annotated[str, Meta(description="Exact aud value required (one of the list).")] = ""
    audience_regex: Annotated[str, Meta(description="Regex over aud, named groups usable in the JWKS URL.")] = ""
    issuer: Annotated[str, Meta(description="Exact iss value required.")] = ""
    issuer_regex: Annotated[str, Meta(description="Regex over iss, named groups usable in the JWKS URL.")] = ""
    user_id_claim: Annotated[str, Meta(description="Claim read as user id instead of sub (regex ^[a-zA-Z_]+$).")] = ""
    insecure_skip_jwks_endpoint_safety_check: Annotated[
        bool, Meta(description="Accept JWKS URL placeholders whose regex group is not a literal alternation.")
    ] = False


class SubscriptionTokenSettings(TokenSettings, frozen=True, kw_only=True):
    """Separate keys of subscription tokens (`client.subscription_token.*`)."""

    enabled: Annotated[bool, Meta(description="Verify subscription tokens with this separate config.")] = False
