"""What is particular to the in-memory broker: order within the process, errors, the sweep's timer."""

from __future__ import annotations

import asyncio

import pytest

from centripetal.engines.memory import MemoryBroker
from centripetal.interfaces import BrokerError, HistoryFilter, PublishOptions, SystemClock
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.node.eager import run_eagerly
from centripetal.testing import ManualClock, RecordedEvents

KEPT = PublishOptions(history_size=10, history_ttl_seconds=60.0)


def opened(events: RecordedEvents) -> tuple[MemoryBroker, ManualClock]:
    clock = ManualClock()
    broker = MemoryBroker(clock, history_meta_ttl_seconds=600.0)
    broker.bind(events)
    return broker, clock


def publish(broker: MemoryBroker, channel: str, data: bytes, options: PublishOptions = KEPT) -> StreamPosition:
    done, result = run_eagerly(broker.publish(channel, data, options))
    assert done and not isinstance(result, asyncio.Task)
    return result.position


class Answering(RecordedEvents):
    """Publishes an answer, a join and a leave from within the first publication."""

    broker: MemoryBroker

    def __init__(self) -> None:
        super().__init__()
        self.order: list[bytes] = []

    def on_publication(self, channel: str, publication: Publication, *rest: object) -> None:
        self.order.append(b"begin " + publication.data)
        if publication.data == b"question":
            assert publish(self.broker, channel, b"answer").offset == 2
            run_eagerly(self.broker.publish_join(channel, ClientInfo("bot")))
            publish(self.broker, channel, b"more")
        self.order.append(b"end " + publication.data)

    def on_join(self, channel: str, info: ClientInfo) -> None:
        self.order.append(b"join")


def test_publishing_from_within_a_publication_keeps_the_order() -> None:
    events = Answering()
    events.broker, _ = opened(events)
    assert publish(events.broker, "a", b"question").offset == 1
    assert events.order == [
        b"begin question", b"end question", b"begin answer", b"end answer", b"join", b"begin more", b"end more",
    ]


class Failing(Answering):
    """Fails after it has published its answers."""

    def on_publication(self, channel: str, publication: Publication, *rest: object) -> None:
        super().on_publication(channel, publication, *rest)
        if publication.data in (b"question", b"answer"):
            raise RuntimeError(publication.data.decode())


def test_a_failure_of_the_node_loses_no_later_event() -> None:
    events = Failing()
    events.broker, _ = opened(events)
    with pytest.raises(RuntimeError):
        publish(events.broker, "a", b"question")
    assert events.order[-5:] == [b"begin answer", b"end answer", b"join", b"begin more", b"end more"]
    publish(events.broker, "a", b"next")
    assert events.order[-1] == b"end next"


def test_publishing_before_bind_is_a_broker_error() -> None:
    broker = MemoryBroker(ManualClock(), history_meta_ttl_seconds=600.0)
    with pytest.raises(BrokerError):
        run_eagerly(broker.publish("a", b"{}", PublishOptions()))


def test_a_publication_without_version_lets_any_version_follow() -> None:
    events = RecordedEvents()
    broker, _ = opened(events)
    for version, offset in ((5, 1), (5, 1), (0, 2), (5, 3), (4, 3)):
        options = PublishOptions(history_size=10, history_ttl_seconds=60.0, version=version)
        assert publish(broker, "a", b"{}", options).offset == offset


def test_the_epoch_asked_for_is_left_to_the_caller() -> None:
    broker, _ = opened(RecordedEvents())
    publish(broker, "a", b"1")
    done, result = run_eagerly(broker.history("a", HistoryFilter(-1, StreamPosition(0, "another"))))
    assert done and not isinstance(result, asyncio.Task) and len(result[0]) == 1


def test_offset_and_epoch_stay_for_ever_without_a_meta_lifetime() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock, history_meta_ttl_seconds=0.0)
    broker.bind(RecordedEvents())
    first = publish(broker, "a", b"1")
    clock.advance(1e9)
    assert not broker.sweep(1000)
    assert publish(broker, "a", b"2") == StreamPosition(2, first.epoch)


def test_the_timer_sweeps_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centripetal.engines.memory.expiry._INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("centripetal.engines.memory.expiry._PAUSE_SECONDS", 0.0)
    broker, clock = opened(RecordedEvents())
    for number in range(2500):
        publish(broker, f"channel:{number}", b"{}")
    clock.advance(1000.0)

    async def main() -> None:
        await broker.start()
        async with asyncio.timeout(20):
            while broker._streams:
                await asyncio.sleep(0)
        await broker.stop()
        publish(broker, "after", b"{}")
        clock.advance(1000.0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert broker._streams

    asyncio.run(main())


def test_it_runs_on_the_machines_clock() -> None:
    broker = MemoryBroker(SystemClock(), history_meta_ttl_seconds=600.0)
    broker.bind(RecordedEvents())
    assert publish(broker, "a", b"1").offset == 1
