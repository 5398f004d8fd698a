"""What happens with what the broker distributes: to the hub, past the positions, encoded for each subscriber."""

from __future__ import annotations

import time
from typing import Any

from ..fanout.channel import Channel
from ..fanout.hub import Hub
from ..model import ClientInfo, Publication, StreamPosition
from ..protocol.errors import UnencodableData
from ..protocol.results import Join, Leave
from .counters import Counters
from .positions import Positions


def encode_publication(
    encoding: Any, channel: str, publication: Publication, fossil: bool, patch: bytes | None
) -> bytes | None:
    """Returns the frame of a publication for an encoding, None when the encoding cannot carry its data."""
    try:
        return encoding.frame(  # type: ignore[no-any-return]
            encoding.codec.encode_publication(
                channel, publication, unidirectional=encoding.unidirectional, fossil=fossil, patch=patch
            )
        )
    except UnencodableData:
        return None


class Delivery:
    """The node's BrokerEvents and MapBrokerEvents."""

    def __init__(self, hub: Hub, counters: Counters) -> None:
        self._hub = hub
        self._channels = hub.channels
        self._counters = counters
        self._broadcasts = counters.broadcast_duration["publication"]
        self.positions: Positions | None = None

    def on_publication(
        self,
        channel: str,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        """Delivers a publication to this node's subscribers; see BrokerEvents."""
        self._counters.publications_received += 1
        entry = self._channels.get(channel)
        if entry is None:
            return
        if entry.position is not None and publication.offset:
            assert self.positions is not None
            if not self.positions.accept(entry, (publication, position, use_delta, previous)):
                return
        self.deliver(entry, publication, previous if use_delta else None, position.epoch)

    def on_state_lost(self, channel: str) -> None:
        """Has the subscribers of a map read it anew; see MapBrokerEvents."""
        entry = self._channels.get(channel)
        if entry is None:
            return
        if entry.changes is not None:
            entry.changes.broken = True
        assert self.positions is not None
        self.positions.lose(entry)

    def deliver(self, channel: Channel, publication: Publication, base: Publication | None, epoch: str) -> None:
        """Delivers a publication whose turn has come."""
        started = time.perf_counter()
        self._hub.deliver(channel, publication, base, epoch)
        self._broadcasts.observe(time.perf_counter() - started)

    def on_join(self, channel: str, info: ClientInfo) -> None:
        """Delivers a join; see BrokerEvents."""
        self._counters.joins_received += 1
        self._deliver_event(channel, "join", Join(info=info))

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        """Delivers a leave; see BrokerEvents."""
        self._counters.leaves_received += 1
        self._deliver_event(channel, "leave", Leave(info=info))

    def _deliver_event(self, channel: str, kind: str, body: Join | Leave) -> None:
        entry = self._channels.get(channel)
        if entry is None or not entry.watchers:
            return

        def encode(encoding: Any) -> bytes | None:
            try:
                message = encoding.codec.encode_push(kind, channel, body, unidirectional=encoding.unidirectional)
            except UnencodableData:
                return None
            return encoding.frame(message)  # type: ignore[no-any-return]

        self._hub.deliver_event(entry, encode)
