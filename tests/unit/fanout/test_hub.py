"""The hub against a plain model: each subscriber gets each publication once, in order, in its own form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from centripetal.fanout import hub as hub_module
from centripetal.fanout import outbox as outbox_module
from centripetal.fanout.channel import Group
from centripetal.fanout.fossil import apply_delta
from centripetal.fanout.hub import Hub
from centripetal.fanout.outbox import Flusher, Outbox
from centripetal.model import Publication


class OnlyTag:
    """A tags filter."""

    def __init__(self, value: str) -> None:
        self._value = value

    def matches(self, tags: dict[str, str] | None) -> bool:
        return (tags or {}).get("t") == self._value


FILTERS = {None: None, "x": OnlyTag("x"), "y": OnlyTag("y")}
ENCODINGS = ("text", "binary")


def encode(encoding: Any, channel: str, publication: Publication, fossil: bool, patch: bytes | None) -> bytes | None:
    if encoding == "text" and publication.data.startswith(b"\xff"):
        return None
    frame = {
        "number": publication.version,
        "encoding": encoding,
        "fossil": fossil,
        "data": (publication.data if patch is None else patch).hex(),
        "patch": patch is not None,
    }
    return json.dumps(frame).encode() + b"\n"


class Loop:
    """Keeps what is to be called at the end of the turn."""

    def __init__(self) -> None:
        self.scheduled: list[Any] = []

    def schedule(self, function: Any) -> None:
        self.scheduled.append(function)

    def turn(self) -> None:
        due, self.scheduled = self.scheduled, []
        for function in due:
            function()

    def settle(self) -> None:
        for _ in range(10_000):
            if not self.scheduled:
                return
            self.turn()
        raise AssertionError("never comes to rest")


class Subscriber:
    """An outbox, and what its subscription must get."""

    def __init__(self) -> None:
        self.outbox = Outbox(self.take)
        self.frames: list[dict[str, Any]] = []
        self.writes = 0
        self.group: Group | None = None
        self.encoding = ""
        self.fossil = False
        self.filter: str | None = None
        self.has: bytes | None = None
        self.expected: list[tuple[int, bytes]] = []
        self.refused = False
        self.watching = False
        self.events: list[int] = []
        self.expected_events: list[int] = []

    def take(self, data: bytes) -> None:
        self.writes += 1
        for line in data.splitlines():
            frame = json.loads(line)
            if "event" in frame:
                self.events.append(frame["event"])
            else:
                self.frames.append(frame)

    def check(self, *, complete: bool) -> None:
        """Compares what came with what had to come, and rebuilds the data."""
        for frame in self.frames:
            assert self.expected, f"nothing was to come, but {frame} did"
            number, data = self.expected.pop(0)
            assert frame["number"] == number
            assert (frame["encoding"], frame["fossil"]) == (self.encoding, self.fossil)
            content = bytes.fromhex(frame["data"])
            if frame["patch"]:
                assert self.has is not None, "a patch to one who has nothing to apply it to"
                content = apply_delta(self.has, content)
            assert content == data
            self.has = content
        self.frames = []
        if complete and self.group is not None and not self.refused:
            assert self.expected == []
        assert self.events == self.expected_events[: len(self.events)]
        if complete and not self.refused:
            assert self.events == self.expected_events


class HubMachine(RuleBasedStateMachine):
    """Subscribers come and go while publications are handed out, at once and in slices."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(outbox_module, "OUTBOXES_A_SLICE", 3)
        self.patch.setattr(outbox_module, "FRAMES_A_WRITE", 2)
        self.patch.setattr(hub_module, "FEW", 2)
        self.loop = Loop()
        self.flusher = Flusher(self.loop.schedule)
        self.hub = Hub(self.flusher, encode, self.loop.schedule, self.cannot_encode, lambda *_: None)
        self.channel = self.hub.hold("c")
        self.subscribers = [Subscriber() for _ in range(8)]
        self.by_outbox = {each.outbox: each for each in self.subscribers}
        self.number = 0
        self.epoch = "a"
        self.heard_epoch = ""
        self.stream: list[Publication] = []

    @initialize(slice_size=st.sampled_from([1, 2, 3, 100]))
    def begin(self, slice_size: int) -> None:
        self.patch.setattr(hub_module, "MEMBERS_A_SLICE", slice_size)

    def cannot_encode(self, outbox: Outbox) -> None:
        """As the node does: what was sent so far goes out, and the connection ends."""
        self.flusher.flush_one(outbox)
        subscriber = self.by_outbox[outbox]
        assert subscriber.encoding == "text"
        assert not subscriber.refused
        subscriber.check(complete=False)
        assert subscriber.expected and subscriber.expected[0][1].startswith(b"\xff")
        subscriber.refused = True
        self.leave(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        assert subscriber.group is not None
        self.channel.remove(subscriber.outbox, subscriber.group)
        subscriber.group = None
        subscriber.expected = []
        self.stop_watching(subscriber)

    def stop_watching(self, subscriber: Subscriber) -> None:
        if subscriber.watching:
            self.channel.unwatch(subscriber.outbox, subscriber.encoding)
            subscriber.watching = False

    @rule(
        who=st.integers(0, 7),
        encoding=st.sampled_from(ENCODINGS),
        fossil=st.booleans(),
        filtered=st.sampled_from([None, None, "x", "y"]),
        recovers=st.booleans(),
    )
    def subscribe(self, who: int, encoding: str, fossil: bool, filtered: str | None, recovers: bool) -> None:
        subscriber = self.subscribers[who]
        if subscriber.group is not None:
            return
        self.flusher.flush_one(subscriber.outbox)
        subscriber.check(complete=False)
        subscriber.encoding, subscriber.fossil, subscriber.filter = encoding, fossil, filtered
        subscriber.refused = False
        subscriber.has = None
        base_offset = 0
        # One that has got the top of the stream with its reply; it got nothing else then.
        if recovers and self.stream and self.epoch == self.heard_epoch and FILTERS[filtered] is None:
            base_offset = self.stream[-1].offset
            subscriber.has = self.stream[-1].data
        subscriber.group = self.channel.add(
            subscriber.outbox, encoding, fossil=fossil, tags_filter=FILTERS[filtered], base_offset=base_offset
        )

    @rule(who=st.integers(0, 7))
    def unsubscribe(self, who: int) -> None:
        subscriber = self.subscribers[who]
        if subscriber.group is None:
            return
        self.flusher.flush_one(subscriber.outbox)
        subscriber.check(complete=False)
        self.leave(subscriber)

    @rule(who=st.integers(0, 7))
    def watch(self, who: int) -> None:
        subscriber = self.subscribers[who]
        if subscriber.group is not None and not subscriber.watching:
            subscriber.watching = True
            self.channel.watch(subscriber.outbox, subscriber.encoding)

    @rule(
        how=st.sampled_from(["next", "next", "next", "next", "next", "plain", "missed", "restart"]),
        use_delta=st.sampled_from([True, True, True, False]),
        tag=st.sampled_from([None, "x", "y"]),
        edits=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), max_size=3),
        unencodable=st.sampled_from([False] * 9 + [True]),
        unheard_of=st.booleans(),
    )
    def publish(
        self,
        how: str,
        use_delta: bool,
        tag: str | None,
        edits: list[tuple[int, int]],
        unencodable: bool,
        unheard_of: bool,
    ) -> None:
        if how == "restart":
            # Nobody here hears of the first ones of the new stream, which may be as many as the old one had.
            unheard = len(self.stream) if unheard_of else 0
            self.stream = []
            self.epoch = self.epoch + "a"
            for _ in range(unheard):
                self.store(self.data_from(b"z" * 64, [(3, len(edits))]), None)
        if how == "missed":
            self.store(self.data_from(self.last_data(), [(1, 1), (40, 7)]), None)
        data = self.data_from(self.last_data(), edits)
        if unencodable:
            data = b"\xff" + data
        tags = {"t": tag} if tag else None
        self.number += 1
        previous = self.stream[-1] if self.stream and use_delta and how != "plain" else None
        if how == "plain":
            publication = Publication(data, 0, tags=tags, version=self.number)
        else:
            publication = self.store(data, tags)
            self.heard_epoch = self.epoch
        for subscriber in self.subscribers:
            tags_filter = FILTERS[subscriber.filter]
            if subscriber.group is not None and (tags_filter is None or tags_filter.matches(tags)):
                subscriber.expected.append((self.number, data))
        self.hub.deliver(self.channel, publication, previous, self.epoch if how != "plain" else "")

    def store(self, data: bytes, tags: dict[str, str] | None) -> Publication:
        publication = Publication(data, len(self.stream) + 1, tags=tags, version=self.number)
        self.stream.append(publication)
        return publication

    def last_data(self) -> bytes:
        data = self.stream[-1].data if self.stream else b"0123456789abcdef" * 4
        return data.removeprefix(b"\xff")

    @staticmethod
    def data_from(data: bytes, edits: list[tuple[int, int]]) -> bytes:
        changed = bytearray(data)
        for at, value in edits:
            changed[at % len(changed)] = value & 0x7F
        return bytes(changed)

    @rule(number=st.integers(0, 99))
    def tell_event(self, number: int) -> None:
        for subscriber in self.subscribers:
            if subscriber.watching:
                subscriber.expected_events.append(number)
        self.hub.deliver_event(self.channel, lambda encoding: json.dumps({"event": number}).encode() + b"\n")

    @precondition(lambda self: self.loop.scheduled)
    @rule()
    def turn(self) -> None:
        self.loop.turn()
        for subscriber in self.subscribers:
            subscriber.check(complete=False)

    @rule()
    def settle(self) -> None:
        self.loop.settle()
        for subscriber in self.subscribers:
            subscriber.check(complete=True)
        assert self.channel.backlog is None
        live = [each for each in self.subscribers if each.group is not None]
        assert self.channel.num_live == len(live)
        assert sum(len(group) for group in self.channel.groups.values()) == len(live)
        assert not self.flusher.prompt and not self.flusher.bulk

    def teardown(self) -> None:
        self.settle()
        for subscriber in self.subscribers:
            if subscriber.group is not None:
                self.leave(subscriber)
        assert self.channel.groups == {} and self.channel.watchers == {} and self.channel.num_live == 0
        assert self.hub.release(self.channel)
        assert self.hub.channels == {}
        self.patch.undo()


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
