"""Capsules, split anywhere, well-formed or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.protocol.capsules import (
    CLOSE_SESSION,
    DRAIN_SESSION,
    MAX_REASON_BYTES,
    CapsuleReader,
    capsule,
    close_session,
    quic_varint,
    read_quic_varint,
)
from centripetal.protocol.errors import ProtocolError


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, "00"),
        (63, "3f"),
        (64, "4040"),
        (15293, "7bbd"),
        (16384, "80004000"),
        (494878333, "9d7f3e7d"),
        (151288809941952652, "c2197c5eff14e88c"),
    ],
)
def test_integers_of_rfc_9000(number: int, data: str) -> None:
    assert quic_varint(number).hex() == data
    assert read_quic_varint(bytes.fromhex("ff" + data), 1) == (number, 1 + len(data) // 2)
    for size in range(len(data) // 2):
        assert read_quic_varint(bytes.fromhex(data)[:size], 0) == (0, -1)


def test_integers_have_a_bound() -> None:
    with pytest.raises(ValueError, match="too large"):
        quic_varint(1 << 62)


def test_the_end_of_a_session() -> None:
    assert close_session(3001, "shutdown").hex() == "68430c" + "00000bb9" + b"shutdown".hex()
    long = close_session(1, "é" * 1000)
    assert len(long) <= 4 + 4 + MAX_REASON_BYTES and long.endswith("é".encode())


@given(st.lists(st.tuples(st.sampled_from([DRAIN_SESSION, 0, 2**40]), st.binary(max_size=100))), st.data())
def test_other_capsules_are_skipped_however_they_are_split(others: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(capsule(kind, payload) for kind, payload in others)
    reader = CapsuleReader()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        assert len(reader._pending) < 16 and not reader.closed
    assert reader.is_between_capsules
    reader.feed(close_session(0, ""))
    assert reader.closed


@pytest.mark.parametrize("size", [0, 3, 5 + MAX_REASON_BYTES, 2**61])
def test_a_malformed_end(size: int) -> None:
    with pytest.raises(ProtocolError):
        CapsuleReader().feed(quic_varint(CLOSE_SESSION) + quic_varint(size))


def test_a_large_capsule_is_not_kept() -> None:
    reader = CapsuleReader()
    reader.feed(quic_varint(0) + quic_varint(2**61))
    for _ in range(100):
        reader.feed(b"x" * 10_000)
    assert not reader._pending and not reader.is_between_capsules
