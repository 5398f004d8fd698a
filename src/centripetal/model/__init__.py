"""Frozen values and code tables that every room shares."""

from .errors import ClientError, Disconnect, Unsubscribe
from .publication import ClientInfo, Publication, StreamPosition

__all__ = ["ClientError", "ClientInfo", "Disconnect", "Publication", "StreamPosition", "Unsubscribe"]
