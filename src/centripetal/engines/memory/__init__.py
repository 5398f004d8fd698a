"""The in-memory engine: one node's streams and presence, lost when the process ends (`engine.type: memory`)."""

from .broker import MemoryBroker
from .map_broker import MemoryMapBroker
from .presence import MemoryPresenceManager
from .snapshot import MemoryEngine, Record

__all__ = ["MemoryBroker", "MemoryEngine", "MemoryMapBroker", "MemoryPresenceManager", "Record"]
