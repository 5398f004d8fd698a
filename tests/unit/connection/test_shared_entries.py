"""Entries that several readers of a stream share: each gets what it would get alone."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.connection.recovery import PatchBases, entries_of
from centripetal.model import Publication
from centripetal.node import shared_entries
from centripetal.node.shared_entries import SharedEntries
from centripetal.protocol.json_codec import JSON
from centripetal.protocol.protobuf_codec import PROTOBUF

TEXT = b'{"line":"%d the same words again and again, so that patches are short"}'
STREAMS = {
    (channel, epoch): [Publication(TEXT % (number * len(channel + epoch)), number) for number in range(1, 21)]
    for channel in ("a", "bb")
    for epoch in ("first", "second one")
}


def encoded(codec: Any, wanted: list[Publication], delta: bool, shared: Any = None) -> list[bytes | None]:
    entries = asyncio.run(entries_of(codec, wanted, delta, PatchBases(), shared))
    assert [entry.publication for entry in entries] == wanted
    return [entry.encoded for entry in entries]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(STREAMS)),
            st.sampled_from((JSON, PROTOBUF)),
            st.booleans(),
            st.sets(st.integers(0, 19), max_size=20).map(sorted) | st.integers(0, 19).map(lambda n: list(range(n, 20))),
        ),
        max_size=6,
    )
)
def test_readers_get_what_they_would_get_alone(reads: list[tuple[tuple[str, str], Any, bool, list[int]]]) -> None:
    cache = SharedEntries()
    for (channel, epoch), codec, delta, numbers in reads:
        wanted = [STREAMS[channel, epoch][number] for number in numbers]
        shared = cache.of(channel, epoch, codec, delta)
        assert encoded(codec, wanted, delta, shared) == encoded(codec, wanted, delta)


def test_a_publication_is_encoded_once_for_all_who_read_it() -> None:
    calls: list[int] = []

    class Counting:
        def encode_entry(self, entry: Any) -> bytes:
            calls.append(entry.publication.offset)
            return JSON.encode_entry(entry)

    codec, cache = Counting(), SharedEntries()
    stream = STREAMS["a", "first"]
    for start in (5, 5, 7, 3):
        encoded(codec, stream[start:], False, cache.of("a", "first", codec, False))
    assert calls == [*range(6, 21), 4, 5]
    calls.clear()
    for start in (5, 5, 5):
        encoded(codec, stream[start:], True, cache.of("a", "first", codec, True))
    assert calls == [*range(6, 21)]


def test_entries_are_forgotten_in_time() -> None:
    cache = SharedEntries()
    stream = cache.of("a", "e", JSON, False)
    stream.keep(1, "entry", 100)
    for _ in range(shared_entries.LIFETIME_SECONDS - 1):
        cache.every_second()
    assert cache.of("a", "e", JSON, False) is stream
    cache.every_second()
    assert cache.of("a", "e", JSON, False).known == {}


def test_what_is_kept_is_bounded() -> None:
    cache = SharedEntries()
    stream = cache.of("a", "e", JSON, False)
    for number in range(9):
        stream.keep(number, "entry", shared_entries.MAX_BYTES // 10)
    assert len(cache.of("a", "e", JSON, False).known) == 9
    stream.keep(9, "entry", shared_entries.MAX_BYTES // 10)
    assert cache.of("a", "e", JSON, False).known == {}
    for number in range(100_000):
        cache.of(f"channel {number}", "e", JSON, False)
    assert len(cache._streams) < shared_entries.MAX_BYTES // 400
