"""The in-memory engine: one node's streams and presence, lost when the process ends (`engine.type: memory`)."""

from .broker import MemoryBroker
from .presence import MemoryPresenceManager

__all__ = ["MemoryBroker", "MemoryPresenceManager"]
