"""Calls to servers of others: one HTTP client for proxies, key sets and whatever else leaves the process."""

from .client import HttpClient, parse_url
from .result import (
    BadResponse,
    CallRefused,
    ClientClosed,
    HttpResult,
    OutboundError,
    Overloaded,
    TimedOut,
    TooLarge,
    Unreachable,
)
from .target import HttpTarget, TargetSettings

__all__ = [
    "BadResponse", "CallRefused", "ClientClosed", "HttpClient", "HttpResult", "HttpTarget", "OutboundError",
    "Overloaded", "TargetSettings", "TimedOut", "TooLarge", "Unreachable", "parse_url",
]
