"""Where the publications of a channel come from: the broker, or the map broker for channels of maps."""

from __future__ import annotations

from ..interfaces import Broker, BrokerError, HistoryFilter, MapBroker, MapRetention
from ..model import ClientError, Publication, StreamPosition
from ..model.errors import forget_traceback
from .namespaces import Namespaces


class Sources:
    """Asks for each channel the broker that has its publications.

    Attributes:
        namespaces: the options `channel.*`, as they are now.
    """

    def __init__(self, broker: Broker, map_broker: MapBroker | None, namespaces: Namespaces) -> None:
        self._broker = broker
        self._map_broker = map_broker
        self.namespaces = namespaces

    def _map_of(self, channel: str) -> tuple[MapBroker, MapRetention] | None:
        if self._map_broker is None:
            return None
        try:
            retention = self.namespaces.rules_of(channel).map_retention
        except ClientError as error:
            forget_traceback(error)
            return None
        return None if retention is None else (self._map_broker, retention)

    async def subscribe(self, channel: str) -> None:
        """This node has a first subscriber in the channel.

        Raises:
            BrokerError: the broker cannot subscribe.
        """
        await self._broker.subscribe(channel)  # it has the joins and leaves of every channel
        kept = self._map_of(channel)
        if kept is not None:
            try:
                await kept[0].subscribe(channel)
            except BrokerError:
                await self._broker.unsubscribe(channel)
                raise

    async def unsubscribe(self, channel: str) -> None:
        """This node has no subscriber in the channel any more.

        Raises:
            BrokerError: a broker could not be told.
        """
        kept = self._map_of(channel)
        try:
            if kept is not None:
                await kept[0].unsubscribe(channel)
        finally:
            await self._broker.unsubscribe(channel)

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns publications and the stream's top; see Broker.history().

        Raises:
            BrokerError: the broker cannot be read.
        """
        kept = self._map_of(channel)
        if kept is not None:
            return await kept[0].read_stream(channel, wanted, kept[1])
        return await self._broker.history(channel, wanted, history_meta_ttl_seconds)
