"""What the memory engine keeps, taken up by another one: nobody must notice."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from test_broker_machine import BrokerMachine, finish
from test_presence_machine import PresenceMachine

from centripetal.engines.memory import MemoryBroker, MemoryEngine, MemoryMapBroker, MemoryPresenceManager, Record
from centripetal.engines.memory.snapshot import RECORD_ITEMS
from centripetal.interfaces import (
    HistoryFilter,
    MapPublishOptions,
    MapRemoveOptions,
    MapRetention,
    PublishOptions,
    StateFilter,
)
from centripetal.model import Publication
from centripetal.testing import ManualClock, RecordedEvents

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Record).decode

# Binary fractions, so that deadlines are exact after they went as what is left of them.
exact_seconds = st.sampled_from([0.125, 0.5, 1.0, 2.5, 30.0, 60.0, 299.5, 400.0, 20_000.0])


def engine(clock: ManualClock) -> MemoryEngine:
    return MemoryEngine(
        MemoryBroker(clock, history_meta_ttl_seconds=500.0), MemoryPresenceManager(clock), MemoryMapBroker(clock)
    )


def moved(old: MemoryEngine, clock: ManualClock) -> MemoryEngine:
    """Returns another engine that has taken up what one keeps."""
    new = engine(clock)
    for record in old.records():
        new.restore(decode(encode(record)))
    return new


class MovedBrokerMachine(BrokerMachine):
    """The machine of the broker, which changes the engine now and then."""

    @rule()
    def move(self) -> None:
        old = MemoryEngine(self.broker, MemoryPresenceManager(self.clock), MemoryMapBroker(self.clock))
        self.broker = moved(old, self.clock).broker
        self.broker.bind(self.events)

    @rule(seconds=exact_seconds)
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


class MovedPresenceMachine(PresenceMachine):
    @rule()
    def move(self) -> None:
        old = engine(self.clock)
        self.manager = moved(MemoryEngine(old.broker, self.manager, old.map_broker), self.clock).presence

    @rule(seconds=exact_seconds)
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


for machine in (MovedBrokerMachine, MovedPresenceMachine):
    machine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestMovedBrokerMachine = MovedBrokerMachine.TestCase
TestMovedPresenceMachine = MovedPresenceMachine.TestCase


def test_maps_go_on_with_keys_changes_versions_and_lifetimes() -> None:
    clock = ManualClock()
    retention = MapRetention(key_ttl_seconds=64.0, stream_size=1000, stream_ttl_seconds=64.0, meta_ttl_seconds=512.0)
    old = engine(clock)
    old.map_broker.bind(RecordedEvents())
    count = 2 * RECORD_ITEMS + 3
    for number in range(count):
        options = MapPublishOptions(retention=retention, version=number + 1, idempotency_key=f"i{number}", score=number)
        finish(old.map_broker.publish("m", f"k{number:04}", b"%d" % number, options))
    finish(old.map_broker.remove("m", "k0000", MapRemoveOptions(retention=retention)))
    clock.advance(32.0)
    new, events = moved(old, clock), RecordedEvents()
    new.map_broker.bind(events)

    everything = StateFilter(limit=-1)
    assert finish(new.map_broker.read_state("m", everything, retention)) == finish(
        old.map_broker.read_state("m", everything, retention)
    )
    changes = HistoryFilter(limit=-1)
    read = finish(new.map_broker.read_stream("m", changes, retention))
    assert read == finish(old.map_broker.read_stream("m", changes, retention))
    assert read[1].offset == count + 1
    again = MapPublishOptions(retention=retention, idempotency_key="i7")
    assert finish(new.map_broker.publish("m", "k0007", b"x", again)).reason == "idempotency"
    older = MapPublishOptions(retention=retention, version=7)
    assert finish(new.map_broker.publish("m", "k0007", b"x", older)).reason == "version"
    clock.advance(33.0)
    while new.map_broker.sweep(1000):
        pass
    assert finish(new.map_broker.count_keys("m")) == 0
    assert len([event for event in events.publications if event.publication.removed]) == count - 1
    assert [event.publication.offset for event in events.publications] == list(range(count + 2, 2 * count + 1))


def test_a_long_stream_goes_in_several_records() -> None:
    clock = ManualClock()
    old = engine(clock)
    old.broker.bind(RecordedEvents())
    options = PublishOptions(history_size=700, history_ttl_seconds=64.0)
    for number in range(1000):
        finish(old.broker.publish("a", b"%d" % number, options))
    records = list(old.records())
    assert [len(record.publications) for record in records if hasattr(record, "publications")] == [256, 256, 188]
    new = moved(old, clock)
    new.broker.bind(RecordedEvents())
    found, top = finish(new.broker.history("a", HistoryFilter(limit=-1)))
    assert [publication.offset for publication in found] == list(range(301, 1001))
    assert isinstance(found[0], Publication)
    assert finish(new.broker.publish("a", b"next", options)).position.offset == 1001
    assert top.epoch == finish(old.broker.history("a", HistoryFilter()))[1].epoch
