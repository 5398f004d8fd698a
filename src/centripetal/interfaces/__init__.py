"""What plug-ins provide, as small protocols."""

from .broker import Broker, BrokerError, BrokerEvents, HistoryFilter, PublishOptions, PublishResult
from .clock import Clock, SystemClock
from .map_broker import (
    MapBroker,
    MapBrokerEvents,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    MapSweep,
    StateFilter,
    StatePage,
)
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
    "MapBroker",
    "MapBrokerEvents",
    "MapPublishOptions",
    "MapRemoveOptions",
    "MapResult",
    "MapRetention",
    "MapSweep",
    "PresenceError",
    "PresenceManager",
    "PresenceStats",
    "PublishOptions",
    "PublishResult",
    "ServerSubscription",
    "StateFilter",
    "StatePage",
    "SubscriptionClaims",
    "SubscriptionOverrides",
    "SystemClock",
    "TokenExpired",
    "TokenInvalid",
    "TokenVerifier",
    "Transport",
]
