"""Memory comes back: after many channels, after many keys, and under one busy channel."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from centripetal.engines.memory import MemoryBroker, MemoryMapBroker, MemoryPresenceManager
from centripetal.interfaces import (
    BrokerEvents,
    HistoryFilter,
    MapBrokerEvents,
    MapPublishOptions,
    MapRetention,
    PublishOptions,
    StateFilter,
)
from centripetal.model import ClientInfo
from centripetal.node.eager import run_eagerly
from centripetal.testing import ManualClock


class NoNode:
    """Forgets every event."""

    def on_publication(self, *event: object) -> None:
        """Forgets it."""

    def on_join(self, *event: object) -> None:
        """Forgets it."""

    def on_leave(self, *event: object) -> None:
        """Forgets it."""

    def on_state_lost(self, channel: str) -> None:
        """Forgets it."""


def opened() -> tuple[MemoryBroker, ManualClock]:
    clock = ManualClock()
    broker = MemoryBroker(clock, history_meta_ttl_seconds=3600.0)
    events: BrokerEvents = NoNode()
    broker.bind(events)
    return broker, clock


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    try:
        yield _size
    finally:
        tracemalloc.stop()


def _size() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def sweep(sweeping: MemoryBroker | MemoryMapBroker | MemoryPresenceManager) -> None:
    while sweeping.sweep(1000):
        pass


def test_short_lived_channels_leave_nothing() -> None:
    broker, clock = opened()
    options = PublishOptions(history_size=10, history_ttl_seconds=60.0, idempotency_key="key")
    with traced() as size:
        before = size()
        for number in range(20_000):
            run_eagerly(broker.publish(f"short:{number}", bytes(200), options))
        full = size() - before
        clock.advance(300.0)
        sweep(broker)
        idle = size() - before
        assert len(broker._streams) == 20_000 and len(broker._results) == 20_000
        clock.advance(24.0)
        sweep(broker)
        clock.advance(3600.0 * 1.1)
        sweep(broker)
        left = size() - before
    assert not broker._streams and not len(broker._results)
    assert idle < full - 20_000 * 200
    assert left < 100_000 < full


def test_one_busy_channel_with_keys_does_not_grow() -> None:
    broker, clock = opened()
    with traced() as size:
        sizes = []
        for number in range(100_000):
            options = PublishOptions(
                history_size=5, history_ttl_seconds=60.0, idempotency_key=str(number), idempotent_result_ttl_seconds=30.0
            )
            run_eagerly(broker.publish("busy", bytes(100), options))
            clock.advance(0.05)
            if number % 20 == 0:
                broker.sweep(1000)
            if number % 20_000 == 19_999:
                sizes.append(size())
    assert len(broker._results) <= 31.9 / 0.05 + 20
    assert len(broker._wheel) == 1
    assert max(sizes) - min(sizes) < 100_000


def test_channels_that_are_only_read_are_forgotten() -> None:
    broker, clock = opened()
    for number in range(5000):
        run_eagerly(broker.history(f"read:{number}", HistoryFilter()))
    clock.advance(3600.0 * 1.1)
    sweep(broker)
    assert not broker._streams and not len(broker._wheel)


def test_a_step_frees_a_long_history_bit_by_bit() -> None:
    broker, clock = opened()
    options = PublishOptions(history_size=10_000, history_ttl_seconds=60.0)
    for _ in range(10_000):
        run_eagerly(broker.publish("long", b"{}", options))
    clock.advance(100.0)
    steps = 1
    while broker.sweep(1000):
        steps += 1
    assert steps >= 10
    assert not broker._discarded


def test_presence_of_many_leaves_nothing() -> None:
    clock = ManualClock()
    manager = MemoryPresenceManager(clock)
    with traced() as size:
        before = size()
        for number in range(20_000):
            client = f"client-{number}"
            run_eagerly(manager.add(f"room:{number % 5000}", client, ClientInfo(f"user-{number}", client)))
        full = size() - before
        clock.advance(60.0)
        sweep(manager)
        left = size() - before
    assert not manager._channels and not manager._by_deadline
    assert left < 100_000 < full


def test_what_was_removed_is_freed_without_the_collector() -> None:
    manager = MemoryPresenceManager(ManualClock())
    broker, clock = opened()
    gc.collect()
    gc.disable()
    try:
        for number in range(100):
            run_eagerly(manager.add("room", str(number), ClientInfo("u", str(number))))
            run_eagerly(manager.remove("room", str(number)))
            run_eagerly(broker.publish(str(number), b"{}", PublishOptions(history_size=1, history_ttl_seconds=1.0)))
        clock.advance(3600.0 * 1.1)
        sweep(broker)
        assert gc.collect() == 0
    finally:
        gc.enable()


def opened_maps() -> tuple[MemoryMapBroker, ManualClock]:
    clock = ManualClock()
    broker = MemoryMapBroker(clock)
    events: MapBrokerEvents = NoNode()
    broker.bind(events)
    return broker, clock


RECOVERABLE = MapRetention(key_ttl_seconds=60.0, stream_size=100, stream_ttl_seconds=60.0, meta_ttl_seconds=600.0)


def test_maps_leave_nothing() -> None:
    broker, clock = opened_maps()
    options = MapPublishOptions(retention=RECOVERABLE, idempotency_key="key")
    with traced() as size:
        before = size()
        for number in range(10_000):
            channel, key = f"map:{number % 1000}", f"key{number}"
            run_eagerly(broker.publish(channel, key, bytes(200), options))
            run_eagerly(broker.publish(channel, key, bytes(200), MapPublishOptions(retention=RECOVERABLE)))
        full = size() - before
        expected = sum(len(kept.entries) for kept in broker.store.maps.values())
        for _ in range(20):
            clock.advance(60.0)
            sweep(broker)
        left = size() - before
    store = broker.store
    assert not store.maps and not len(store._keys) and not len(store._wheel) and not len(broker._results)
    assert broker.keys_expired == expected
    assert left < 100_000 < full


def test_a_cleared_map_is_freed_bit_by_bit() -> None:
    broker, _ = opened_maps()
    options = MapPublishOptions(retention=MapRetention(key_ttl_seconds=86400.0))
    for number in range(20_000):
        run_eagerly(broker.publish("big", f"key{number}", b"{}", options))
    run_eagerly(broker.clear("big"))
    assert len(broker.store._keys) == 20_000
    steps = 1
    while broker.sweep(1000):
        steps += 1
    assert steps >= 20
    assert not broker.store._discarded and not len(broker.store._keys)


def test_renewing_keys_costs_no_place_in_the_wheel() -> None:
    broker, clock = opened_maps()
    options = MapPublishOptions(retention=MapRetention(key_ttl_seconds=60.0))
    for _ in range(50):
        for number in range(100):
            run_eagerly(broker.publish("busy", f"key{number}", b"{}", options))
        clock.advance(5.0)
        sweep(broker)
        assert len(broker.store._keys) == 100
    assert broker.keys_expired == 0


def test_maps_that_are_only_read_are_forgotten() -> None:
    broker, clock = opened_maps()
    for retention in (MapRetention(key_ttl_seconds=60.0), MapRetention(stream_size=10, stream_ttl_seconds=60.0)):
        for number in range(1000):
            run_eagerly(broker.read_state(f"read:{number}:{retention.stream_size}", StateFilter(), retention))
    clock.advance(700.0)
    sweep(broker)
    assert not broker.store.maps and not len(broker.store._wheel)
