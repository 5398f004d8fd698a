"""Shared polls: the application is asked for keys that clients track, once for all who track them."""

from .channel import PolledChannel
from .key import PolledKey
from .polls import Polls
from .rules import REFRESH_INTERVAL_SECONDS
from .signature import SignatureExpired, SignatureInvalid, verify_signature

__all__ = [
    "REFRESH_INTERVAL_SECONDS",
    "PolledChannel",
    "PolledKey",
    "Polls",
    "SignatureExpired",
    "SignatureInvalid",
    "verify_signature",
]
