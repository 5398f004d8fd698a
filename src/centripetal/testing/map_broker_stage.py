"""The stage on which suites of map brokers play: lifetimes, and how pages are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import SkipTest

from ..interfaces import HistoryFilter, MapBroker, MapRetention, StateFilter
from ..model import ClientInfo, Publication
from .broker_stage import BrokerStage

WHOLE_STATE = StateFilter(limit=-1)
WHOLE_STREAM = HistoryFilter(limit=-1)
INFO = ClientInfo("alice", "client-1", b'{"name":"Alice"}', b'{"role":"admin"}')


def keyed(publications: list[Publication]) -> list[tuple[str, bytes]]:
    """Returns key and data of each publication; the data of a removal is `-`."""
    return [(each.key, b"-" if each.removed else each.data) for each in publications]


@contextlib.contextmanager
def raises(expected: type[Exception]) -> Iterator[None]:
    """Checks that the block fails as expected."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"{expected.__name__} was not raised")


class MapBrokerStage(BrokerStage[MapBroker]):
    """Says how to make a broker; see MapBrokerSuite.

    Attributes:
        exact_pages: set False for a broker that may give more keys than asked for.
        keeps_order: set False for a broker whose pages do not go by key.
        ordered: set False for a broker without scores.
    """

    exact_pages = True
    keeps_order = True
    ordered = True

    @property
    def ephemeral(self) -> MapRetention:
        """Keys that expire, and no stream."""
        return MapRetention(key_ttl_seconds=self.ttl_seconds)

    @property
    def recoverable(self) -> MapRetention:
        """Keys that expire, and a stream."""
        return MapRetention(
            key_ttl_seconds=self.ttl_seconds,
            stream_size=10,
            stream_ttl_seconds=self.ttl_seconds * 2,
            meta_ttl_seconds=self.ttl_seconds * 20,
        )

    @property
    def persistent(self) -> MapRetention:
        """Keys that stay, and a stream."""
        return MapRetention(stream_size=10, stream_ttl_seconds=self.ttl_seconds)

    def be_patient(self) -> None:
        """Skips a test that has to wait for the end of lifetimes, where that cannot be done."""
        if not self.patient:
            raise SkipTest("lifetimes cannot be waited for")
