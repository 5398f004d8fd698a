"""What plug-ins provide, as small protocols."""

from .broker import Broker, BrokerError, BrokerEvents, HistoryFilter, PublishOptions, PublishResult
from .clock import Clock, SystemClock
from .presence import PresenceError, PresenceManager, PresenceStats
from .tokens import (
    ConnectionClaims,
    ServerSubscription,
    SubscriptionClaims,
    SubscriptionOverrides,
    TokenExpired,
    TokenInvalid,
    TokenVerifier,
)
from .transport import Encoding, Transport

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerEvents",
    "Clock",
    "ConnectionClaims",
    "Encoding",
    "HistoryFilter",
    "PresenceError",
    "PresenceManager",
    "PresenceStats",
    "PublishOptions",
    "PublishResult",
    "ServerSubscription",
    "SubscriptionClaims",
    "SubscriptionOverrides",
    "SystemClock",
    "TokenExpired",
    "TokenInvalid",
    "TokenVerifier",
    "Transport",
]
