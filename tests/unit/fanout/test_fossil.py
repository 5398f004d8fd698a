"""Fossil deltas: known patches, round trips, text that stays text, bounds."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.fanout.fossil import (
    MAX_DELTA_BYTES,
    FossilError,
    _Matcher,
    apply_delta,
    bounded_delta,
    checksum,
    create_delta,
)

FOX = b'{"text":"the quick brown fox jumps over the lazy dog and runs away into the deep dark forest","n":%d}'


def word_sum(data: bytes) -> int:
    """The definition of the checksum, word by word."""
    padded = data + bytes(-len(data) % 4)
    return sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4)) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        (1, 2, b"1_\n1Y@0,2:2}3KBl9J;"),
        (2, 3, b"1_\n1Y@0,2:3}3KBlDJ;"),
        (5, 6, b"1_\n1Y@0,2:6}3KBlPJ;"),
    ],
)
def test_patches_are_those_that_centrifugo_sends(before: int, after: int, patch: bytes) -> None:
    assert bounded_delta(FOX % before, FOX % after) == patch
    assert apply_delta(FOX % before, patch) == FOX % after


@pytest.mark.parametrize(
    ("source", "target", "patch"),
    [
        (b"", b"", b"0\n0:0;"),
        (b"short", b"short", b"5\n5:short3cQ6yn;"),
        (b"0123456789abcdefg", b"0123456789abcdefg", b"H\nH@0,1c12xn;"),
        (b"0123456789abcdefg", b"", b"0\n0:0;"),
    ],
)
def test_small_patches(source: bytes, target: bytes, patch: bytes) -> None:
    assert create_delta(source, target) == patch
    assert apply_delta(source, patch) == target


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 1029, 70_000])
def test_checksum(size: int) -> None:
    for data in (random.Random(size).randbytes(size), b"\xff" * size):
        assert checksum(data) == word_sum(data)


def mutations(pieces: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Pairs of payloads that are put together from the same pieces."""
    return st.lists(pieces, min_size=1, max_size=6).flatmap(
        lambda parts: st.tuples(
            st.lists(st.sampled_from(parts), max_size=8).map(b"".join),
            st.lists(st.one_of(st.sampled_from(parts), pieces), max_size=8).map(b"".join),
        )
    )


@settings(max_examples=150, deadline=None)
@given(mutations(st.one_of(st.binary(max_size=60), st.binary(min_size=1, max_size=3).map(lambda part: part * 30))))
def test_round_trip_of_bytes(pair: tuple[bytes, bytes]) -> None:
    source, target = pair
    delta = create_delta(source, target)
    assert apply_delta(source, delta) == target
    bounded = bounded_delta(source, target)
    assert bounded is None or (bounded == delta and len(delta) < len(target))


@settings(max_examples=150, deadline=None)
@given(mutations(st.text(alphabet="aé€😀", max_size=40).map(str.encode)))
def test_patches_between_texts_are_text(pair: tuple[bytes, bytes]) -> None:
    source, target = pair
    delta = create_delta(source, target)
    delta.decode()
    assert apply_delta(source, delta) == target


def test_a_change_inside_a_character_replaces_the_whole_character() -> None:
    source = "the price is 5 € and nothing else, really".encode()
    target = "the price is 5 ™ and nothing else, really".encode()
    delta = bounded_delta(source, target)
    assert delta is not None
    assert "3:™".encode() in delta


def test_moved_text_is_copied() -> None:
    noise = random.Random(1).randbytes(20_000)
    delta = bounded_delta(noise, noise[10_000:] + noise[:10_000])
    assert delta is not None
    assert len(delta) < 40


def test_many_changes_are_many_copies() -> None:
    rows = [f'{{"id":{i},"name":"item number {i}","price":{i * 7919 % 1000}}}' for i in range(100)]
    source = ",".join(rows).encode()
    rows[10:90:20] = [row.replace("price", "cost") for row in rows[10:90:20]]
    del rows[95]
    target = ",".join(rows).encode()
    delta = bounded_delta(source, target)
    assert delta is not None
    assert len(delta) < 120
    assert apply_delta(source, delta) == target


def test_full_data_where_a_patch_does_not_pay() -> None:
    assert bounded_delta(b"one", b"two") is None
    assert bounded_delta(b"a" * 100, b"b" * 100) is None
    assert bounded_delta(b"a" * 100, b"a" * 16) is None
    assert bounded_delta(bytes(MAX_DELTA_BYTES), bytes(MAX_DELTA_BYTES + 1)) is None
    assert bounded_delta(bytes(MAX_DELTA_BYTES + 1), bytes(100)) is None


PATHOLOGICAL: list[tuple[str, Callable[[int], tuple[bytes, bytes]]]] = [
    ("noise", lambda size: (random.Random(1).randbytes(size), random.Random(2).randbytes(size))),
    ("zeros", lambda size: (bytes(size), b"\1" * size)),
    ("periodic", lambda size: (b"abcdefg" * (size // 7), b"abcdefgh" * (size // 8))),
    ("short matches", lambda size: (b"0123456789abcdef!" * (size // 17), b"0123456789abcdef?" * (size // 17))),
    ("alternating", lambda size: (b"ab" * (size // 2), b"ba" * (size // 4) + b"c" + b"ab" * (size // 4))),
]


@pytest.mark.parametrize("size", [1000, 16_384, 65_536, 1 << 20])
@pytest.mark.parametrize("make", [make for _, make in PATHOLOGICAL], ids=[name for name, _ in PATHOLOGICAL])
def test_the_search_stays_within_its_budget(make: Callable[[int], tuple[bytes, bytes]], size: int) -> None:
    source, target = make(size)
    matcher = _Matcher(source, target, 5000)
    copies = matcher.run()
    # What a round may take beyond: one match, one table, one stretch of the stride.
    assert matcher.budget > -5000
    assert len(copies) <= 5000 // 24 + 3
    assert apply_delta(source, create_delta(source, target, 5000), max_bytes=2 * size) == target


def test_without_budget_only_the_ends_are_copied() -> None:
    source = b"A" * 100 + b"x" * 50 + b"M" * 100 + b"y" * 50 + b"Z" * 100
    target = b"A" * 100 + b"1" * 50 + b"M" * 100 + b"2" * 50 + b"Z" * 100
    delta = create_delta(source, target, 0)
    assert delta.count(b"@") == 2
    assert apply_delta(source, delta) == target


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        b"\n",
        b"5",
        b"5\n",
        b"5\n5:short",
        b"5\n5:short;",
        b"5\n5:short0;",
        b"5\n5:shor",
        b"5\n~~~:x",
        b"5\n6:short!",
        b"4\n5:short3cQ6yn;",
        b"6\n5:short3cQ6yn;",
        b"5\n5:short3cQ6yn;x",
        b"5\n5@0",
        b"5\n5@0;",
        b"5\n5@zzzz,",
        b"5\n5@,",
        b"5\n5?",
        b"5\n:",
        b"-1\n",
        b"~~~~~~~~~~\n0:0;",
        b"~~~~~~\n0:0;",
        b"4000000000\n0;",
    ],
)
def test_broken_patches_are_refused(delta: bytes) -> None:
    with pytest.raises(FossilError):
        apply_delta(b"source", delta)


def test_the_result_is_bounded() -> None:
    source = b"x" * 100
    delta = create_delta(source, source * 3)
    assert apply_delta(source, delta, max_bytes=300) == source * 3
    with pytest.raises(FossilError, match="too large"):
        apply_delta(source, delta, max_bytes=299)


def test_a_patch_for_another_source_is_refused() -> None:
    source = b"0123456789" * 10
    delta = create_delta(source, source + b"!")
    with pytest.raises(FossilError, match="checksum"):
        apply_delta(source.replace(b"5", b"6"), delta)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.one_of(st.binary(max_size=60), st.text("0123@:,;\n~A", max_size=30).map(str.encode)))
def test_no_input_raises_anything_else(source: bytes, delta: bytes) -> None:
    try:
        apply_delta(source, delta)
    except FossilError:
        pass
