"""What authors of plug-ins and applications test with. The library itself never imports it."""

from .broker_suite import BrokerSuite
from .clock import ManualClock
from .events import PublicationEvent, RecordedEvents
from .map_broker_suite import MapBrokerSuite
from .presence_suite import PresenceManagerSuite

__all__ = ["BrokerSuite", "ManualClock", "MapBrokerSuite", "PresenceManagerSuite", "PublicationEvent", "RecordedEvents"]
