"""The in-memory broker against a plain model that keeps everything and looks at the time."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from centripetal.engines.memory import MemoryBroker
from centripetal.interfaces import HistoryFilter, PublishOptions, PublishResult
from centripetal.model import Publication, StreamPosition
from centripetal.testing import ManualClock, RecordedEvents

DEFAULT_META_TTL = 500.0

channels = st.sampled_from(["a", "b", "c"])
lifetimes = st.sampled_from([0.0, 0.5, 3.0, 60.0, 700.0])
meta_lifetimes = st.sampled_from([0.0, 2.0, 90.0, 10_000.0])


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("an in-memory broker waited")


class StreamModel:
    """One incarnation of a channel's stream."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.top = 0
        self.version = (0, "")
        self.expires_at = math.inf
        self.forget_at = math.inf
        self.epoch = ""


class ModelEvent(NamedTuple):
    channel: str
    publication: Publication
    offset: int
    previous: Publication | None


class BrokerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.broker = MemoryBroker(self.clock, history_meta_ttl_seconds=DEFAULT_META_TTL)
        self.events = RecordedEvents()
        self.broker.bind(self.events)
        self.streams: dict[str, StreamModel] = {}
        self.results: dict[tuple[str, str], tuple[StreamPosition, float]] = {}
        self.expected: list[ModelEvent] = []
        self.epochs: set[str] = set()

    def opened(self, channel: str, meta_ttl: float) -> StreamModel:
        now = self.clock.monotonic()
        model = self.streams.get(channel)
        if model is None or model.forget_at <= now:
            self.streams[channel] = model = StreamModel()
        if model.expires_at <= now:
            model.publications, model.expires_at = [], math.inf
        model.forget_at = now + (meta_ttl or DEFAULT_META_TTL)
        return model

    def check_position(self, model: StreamModel, position: StreamPosition) -> None:
        assert position.offset == model.top
        if not model.epoch:
            assert position.epoch and position.epoch not in self.epochs
            model.epoch = position.epoch
            self.epochs.add(position.epoch)
        assert position.epoch == model.epoch

    @rule(
        channel=channels,
        size=st.integers(0, 5),
        ttl=lifetimes,
        meta_ttl=meta_lifetimes,
        key=st.sampled_from(["", "", "k1", "k2", "k" * 200]),
        key_ttl=st.sampled_from([1.0, 300.0]),
        version=st.integers(0, 4),
        version_epoch=st.sampled_from(["", "v", "w"]),
        use_delta=st.booleans(),
        count=st.integers(1, 4),
    )
    def publish(self, channel: str, size: int, ttl: float, meta_ttl: float, key: str, key_ttl: float, version: int,
                version_epoch: str, use_delta: bool, count: int) -> None:
        options = PublishOptions(
            history_size=size, history_ttl_seconds=ttl, history_meta_ttl_seconds=meta_ttl, idempotency_key=key,
            idempotent_result_ttl_seconds=key_ttl, version=version, version_epoch=version_epoch, use_delta=use_delta,
        )
        for _ in range(count):
            data = b"%d" % len(self.expected)
            result = finish(self.broker.publish(channel, data, options))
            self.check_published(channel, data, options, result)
        assert len(self.events.publications) == len(self.expected)
        if self.expected:
            self.check_event(self.expected[-1])

    def check_published(self, channel: str, data: bytes, options: PublishOptions, result: PublishResult) -> None:
        now, key = self.clock.monotonic(), (channel, options.idempotency_key)
        if key[1] and key in self.results and self.results[key][1] > now:
            assert result == PublishResult(self.results[key][0], True, "idempotency")
            return
        position, previous = StreamPosition(), None
        publication = Publication(data, version=options.version)
        if options.history_size and options.history_ttl_seconds:
            model = self.opened(channel, options.history_meta_ttl_seconds)
            number, epoch = model.version
            comparable = options.version_epoch in ("", epoch)
            if options.version and comparable and options.version <= number:
                assert result.suppressed and result.reason == "version"
                self.check_position(model, result.position)
                return
            previous = model.publications[-1] if options.use_delta and model.publications else None
            model.top += 1
            self.check_position(model, result.position)
            position = result.position
            publication = Publication(data, model.top, version=options.version)
            model.publications = [*model.publications, publication][-options.history_size:]
            model.version = (options.version, options.version_epoch if options.version else "")
            model.expires_at = now + options.history_ttl_seconds
        assert result == PublishResult(position)
        if key[1]:
            self.results[key] = (position, now + options.idempotent_result_ttl_seconds)
        self.expected.append(ModelEvent(channel, publication, position.offset, previous))

    def check_event(self, expected: ModelEvent) -> None:
        event = self.events.publications[-1]
        assert (event.channel, event.position.offset, event.previous) == (
            expected.channel, expected.offset, expected.previous)
        assert event.publication.data == expected.publication.data
        assert event.publication.offset == expected.offset
        assert event.publication.epoch == (event.position.epoch if expected.offset == 1 else "")

    @rule(
        channel=channels,
        limit=st.integers(-1, 6),
        since=st.none() | st.integers(0, 12),
        reverse=st.booleans(),
        meta_ttl=meta_lifetimes,
    )
    def read(self, channel: str, limit: int, since: int | None, reverse: bool, meta_ttl: float) -> None:
        place = None if since is None else StreamPosition(since, "any")
        found, position = finish(self.broker.history(channel, HistoryFilter(limit, place, reverse), meta_ttl))
        model = self.opened(channel, meta_ttl)
        self.check_position(model, position)
        wanted = model.publications[::-1] if reverse else model.publications
        if since is not None:
            wanted = [p for p in wanted if (p.offset < since if reverse else p.offset > since)]
        assert found == (wanted if limit < 0 else wanted[:limit])

    @rule(channel=channels)
    def remove(self, channel: str) -> None:
        finish(self.broker.remove_history(channel))
        if channel in self.streams:
            self.streams[channel].publications = []
            self.streams[channel].expires_at = math.inf

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5, 30.0, 60.0, 299.9, 400.0, 20_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(budget=st.integers(1, 5))
    def sweep(self, budget: int) -> None:
        self.broker.sweep(budget)

    def teardown(self) -> None:
        self.clock.advance(50_000)
        while self.broker.sweep(100):
            pass
        assert not self.broker._streams and not len(self.broker._results) and not len(self.broker._wheel)


BrokerMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestBrokerMachine = BrokerMachine.TestCase
