"""What authors of plug-ins and applications test with. The library itself never imports it."""

from .broker_suite import BrokerSuite
from .clock import ManualClock
from .events import PublicationEvent, RecordedEvents
from .presence_suite import PresenceManagerSuite

__all__ = ["BrokerSuite", "ManualClock", "PresenceManagerSuite", "PublicationEvent", "RecordedEvents"]
