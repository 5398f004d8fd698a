"""What plug-ins provide, as small protocols."""

from .broker import (
    Broker,
    BrokerError,
    BrokerEvents,
    HistoryFilter,
    ImmediateBroker,
    PublishOptions,
    PublishResult,
)
from .clock import Clock, SystemClock
from .controller import ControlEvents, Controller
from .distributor import Distributor
from .hooks import Caller, Forwarded, HookError, Hooks, HookTable
from .key_directory import KeyAnswer, KeyDirectory, KeyDirectoryError
from .map_broker import (
    KeyMode,
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
    "Caller",
    "Clock",
    "ConnectionClaims",
    "ControlEvents",
    "Controller",
    "Distributor",
    "Encoding",
    "Forwarded",
    "HistoryFilter",
    "HookError",
    "HookTable",
    "Hooks",
    "ImmediateBroker",
    "KeyAnswer",
    "KeyDirectory",
    "KeyDirectoryError",
    "KeyMode",
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
