"""One process of a machine keeps broker, presence and maps for the others, over a Unix socket."""

from .host import Host
from .remote import LocalBroker, LocalMapBroker, LocalPresenceManager, Remote

__all__ = ["Host", "LocalBroker", "LocalMapBroker", "LocalPresenceManager", "Remote"]
