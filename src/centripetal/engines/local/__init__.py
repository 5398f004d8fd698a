"""One process of a machine keeps broker, presence and maps for the others, over a Unix socket."""

from .engine import LocalEngine
from .heir import Heir, HeirError
from .host import Host
from .link import Link
from .methods import VERSION
from .muster import Muster
from .post import Post
from .remote import LocalBroker, LocalController, LocalKeyDirectory, LocalMapBroker, LocalPresenceManager, Remote
from .switch import Switch, SwitchedBroker, SwitchedController, SwitchedMapBroker, SwitchedPresenceManager

__all__ = [
    "VERSION",
    "Heir",
    "HeirError",
    "Host",
    "Link",
    "LocalBroker",
    "LocalController",
    "LocalEngine",
    "LocalKeyDirectory",
    "LocalMapBroker",
    "LocalPresenceManager",
    "Muster",
    "Post",
    "Remote",
    "Switch",
    "SwitchedBroker",
    "SwitchedController",
    "SwitchedMapBroker",
    "SwitchedPresenceManager",
]
