"""Token authentication."""

from .compact import read_payload
from .issue import sign_connection_token, sign_subscription_token
from .keys import KeySource, TokenSettingsError, load_public_key, weak_keys
from .settings import SubscriptionTokenSettings, TokenSettings
from .verifier import JwtVerifier

__all__ = [
    "JwtVerifier", "KeySource", "SubscriptionTokenSettings", "TokenSettings", "TokenSettingsError", "load_public_key",
    "read_payload", "sign_connection_token", "sign_subscription_token", "weak_keys",
]
