"""Keyed state of channels: what namespaces say of it, and the operations on it."""

from __future__ import annotations

from ..interfaces import (
    HistoryFilter,
    MapBroker,
    MapPublishOptions,
    MapRemoveOptions,
    MapResult,
    MapRetention,
    StateFilter,
    StatePage,
)
from ..model import Publication, StreamPosition
from ..model.errors import ERROR_BAD_REQUEST, ERROR_NOT_AVAILABLE
from .counters import Counters
from .namespaces import Namespaces

MAX_KEY_LENGTH = 4096
"""Longer keys (in characters) are refused."""


class Maps:
    """Maps of the channels whose namespace has them (`subscription_type`), in a map broker.

    Attributes:
        namespaces: the options `channel.*`, as they are now.
    """

    def __init__(self, broker: MapBroker | None, namespaces: Namespaces, counters: Counters) -> None:
        """Takes where maps are kept.

        Args:
            broker: None for a node without maps; everything fails with 108 then.
            namespaces: say how long what lives.
            counters: count operations.
        """
        self._broker = broker
        self.namespaces = namespaces
        self._counters = counters

    @property
    def broker(self) -> MapBroker:
        """Where maps are kept.

        Raises:
            ClientError: 108, nowhere.
        """
        if self._broker is None:
            raise ERROR_NOT_AVAILABLE
        return self._broker

    def retention_of(self, channel: str) -> MapRetention:
        """Returns how long what of a map lives.

        Raises:
            ClientError: 102, unknown namespace; 107, it is not one of maps.
        """
        retention = self.namespaces.rules_of(channel).map_retention
        if retention is None:
            raise ERROR_BAD_REQUEST
        return retention

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        """Writes a key; see MapBroker.publish().

        Raises:
            ClientError: 107, the key is empty or too long; 108, there are no maps.
            BrokerError: the broker cannot take it.
        """
        check_key(key)
        counters = self._counters
        counters.actions["map_publish"] += 1
        counters.map_publications_sent += 1
        result = await self.broker.publish(channel, key, data, options)
        if result.suppressed:
            counters.map_publish_suppressed[result.reason] += 1
        return result

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        """Removes a key; see MapBroker.remove(). Raises as publish()."""
        check_key(key)
        counters = self._counters
        counters.actions["map_remove"] += 1
        counters.map_removals_sent += 1
        result = await self.broker.remove(channel, key, options)
        if result.suppressed:
            counters.map_remove_suppressed[result.reason] += 1
        return result

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        """Reads a page of a state; see MapBroker.read_state().

        Raises:
            ClientError: 108, there are no maps.
            BrokerError: the broker cannot be read.
        """
        self._counters.actions["map_state_read"] += 1
        return await self.broker.read_state(channel, wanted, retention)

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        """Reads changes; see MapBroker.read_stream(). Raises as read_state()."""
        self._counters.actions["map_stream_read" if wanted.limit else "map_stream_position"] += 1
        return await self.broker.read_stream(channel, wanted, retention)

    async def count_keys(self, channel: str) -> int:
        """Returns how many keys a map has; raises as read_state()."""
        self._counters.actions["map_stats"] += 1
        return await self.broker.count_keys(channel)

    async def clear(self, channel: str) -> None:
        """Drops a map; raises as read_state()."""
        self._counters.actions["map_clear"] += 1
        await self.broker.clear(channel)


def check_key(key: str) -> None:
    """Checks the key of a write or removal.

    Raises:
        ClientError: 107, it is empty or too long.
    """
    if not key or len(key) > MAX_KEY_LENGTH:
        raise ERROR_BAD_REQUEST
