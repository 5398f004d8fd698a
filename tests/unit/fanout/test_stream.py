"""A stream against a list that keeps everything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from centripetal.fanout.stream import Stream, make_epoch

sizes = st.integers(1, 7)
limits = st.integers(-1, 9)
offsets = st.integers(-2, 40)


class StreamMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stream: Stream[int] = Stream("epoch")
        self.kept: list[int] = []
        self.top = 0

    @rule(size=sizes)
    def append(self, size: int) -> None:
        self.top += 1
        self.stream.append(self.top, size)
        self.kept = [*self.kept, self.top][-size:]

    @rule(count=st.integers(1, 20), size=sizes)
    def append_many(self, count: int, size: int) -> None:
        for _ in range(count):
            self.append(size)

    @rule()
    def clear(self) -> None:
        assert sorted(self.stream.clear()) == self.kept
        self.kept = []

    @rule(offset=offsets, limit=limits)
    def read_after(self, offset: int, limit: int) -> None:
        wanted = [item for item in self.kept if item > offset]
        assert self.stream.after(offset, limit) == (wanted if limit < 0 else wanted[:limit])

    @rule(offset=offsets, limit=limits)
    def read_before(self, offset: int, limit: int) -> None:
        wanted = [item for item in reversed(self.kept) if item < offset]
        assert self.stream.before(offset, limit) == (wanted if limit < 0 else wanted[:limit])

    @rule()
    def change_what_was_read(self) -> None:
        self.stream.after(0).clear()
        self.stream.before(self.top + 1).clear()

    @invariant()
    def holds(self) -> None:
        assert len(self.stream) == len(self.kept)
        assert self.stream.top == self.top
        assert self.stream.last() == (self.kept[-1] if self.kept else None)
        assert self.stream.after(0) == self.kept
        assert self.stream.before(self.top + 1) == self.kept[::-1]


StreamMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStream = StreamMachine.TestCase


@pytest.mark.parametrize(
    ("stored", "given_version", "admitted"),
    [
        ((0, ""), (1, ""), True),
        ((5, ""), (5, ""), False),
        ((5, ""), (4, ""), False),
        ((5, ""), (6, ""), True),
        ((5, "a"), (5, ""), False),
        ((5, "a"), (5, "a"), False),
        ((5, "a"), (1, "b"), True),
        ((5, ""), (1, "b"), True),
    ],
)
def test_versions(stored: tuple[int, str], given_version: tuple[int, str], admitted: bool) -> None:
    stream: Stream[int] = Stream("epoch")
    stream.version, stream.version_epoch = stored
    assert stream.admits(*given_version) is admitted


@given(st.integers(1, 300), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_a_full_stream_never_grows(count: int, size: int) -> None:
    stream: Stream[int] = Stream("epoch")
    for number in range(count):
        stream.append(number, size)
        assert len(stream) <= size


def test_epochs_are_fresh_and_fit_into_urls() -> None:
    epochs = {make_epoch() for _ in range(1000)}
    assert len(epochs) == 1000
    assert all(len(epoch) == 8 and epoch.replace("-", "a").replace("_", "a").isalnum() for epoch in epochs)
