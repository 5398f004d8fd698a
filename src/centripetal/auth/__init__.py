"""Token authentication."""

from .compact import read_payload
from .issue import sign_connection_token, sign_subscription_token
from .key_directory import KeptKeys
from .key_endpoint import unsafe_endpoints
from .key_sets import KeySets
from .keys import KeySource, TokenSettingsError, load_public_key, weak_keys
from .settings import SubscriptionTokenSettings, TokenSettings
from .verifier import JwtVerifier

__all__ = [
    "JwtVerifier", "KeptKeys", "KeySets", "KeySource", "SubscriptionTokenSettings", "TokenSettings", "TokenSettingsError", "load_public_key",
    "read_payload", "sign_connection_token", "sign_subscription_token", "unsafe_endpoints", "weak_keys",
]
