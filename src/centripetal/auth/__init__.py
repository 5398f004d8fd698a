"""Token authentication."""

from .compact import read_payload
from .issue import sign_connection_token, sign_subscription_token
from .key_endpoint import unsafe_endpoints
from .keys import KeySource, TokenSettingsError, load_public_key, weak_keys
from .remote_keys import KeySets
from .settings import SubscriptionTokenSettings, TokenSettings
from .verifier import JwtVerifier

__all__ = [
    "JwtVerifier", "KeySets", "KeySource", "SubscriptionTokenSettings", "TokenSettings", "TokenSettingsError", "load_public_key",
    "read_payload", "sign_connection_token", "sign_subscription_token", "unsafe_endpoints", "weak_keys",
]
