"""Order and joining of what is written to connections."""

from __future__ import annotations

from typing import Any

import pytest

from centripetal.fanout import outbox as outbox_module
from centripetal.fanout.outbox import FRAMES_A_WRITE, OUTBOXES_A_SLICE, Flusher, Outbox, put_each


class Wire:
    """What was written, by whom, in order; and the loop's turns."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.scheduled: list[Any] = []
        self.flusher = Flusher(self.scheduled.append)

    def outbox(self, name: str) -> Outbox:
        return Outbox(lambda data: self.log.append((name, data)))

    def turn(self) -> None:
        due = list(self.scheduled)
        self.scheduled.clear()
        for function in due:
            function()


def put_bulk(flusher: Flusher, outbox: Outbox, frame: bytes) -> None:
    """As the hub does for a publication to many."""
    put_each([outbox], frame, flusher.bulk.append)
    flusher.wake()


def test_frames_of_a_turn_are_one_write() -> None:
    wire = Wire()
    outbox = wire.outbox("a")
    for frame in (b"1", b"2", b"3"):
        wire.flusher.put(outbox, frame)
    assert wire.log == [] and len(wire.scheduled) == 1
    wire.turn()
    assert wire.log == [("a", b"123")]
    assert wire.scheduled == [] and outbox.pending is None


def test_replies_keep_their_place_among_publications_of_one_connection() -> None:
    wire = Wire()
    outbox = wire.outbox("a")
    put_bulk(wire.flusher, outbox, b"push1 ")
    wire.flusher.put(outbox, b"reply ")
    put_bulk(wire.flusher, outbox, b"push2")
    wire.turn()
    assert wire.log == [("a", b"push1 reply push2")]
    assert wire.scheduled == []


def test_replies_to_others_do_not_wait_behind_a_publication_to_many() -> None:
    wire = Wire()
    many = [wire.outbox(f"m{number}") for number in range(OUTBOXES_A_SLICE * 2 + 1)]
    for outbox in many:
        put_bulk(wire.flusher, outbox, b"push")
    wire.flusher.put(wire.outbox("a"), b"reply")
    wire.turn()
    assert wire.log[0] == ("a", b"reply")
    assert len(wire.log) == OUTBOXES_A_SLICE + 1
    wire.flusher.put(wire.outbox("b"), b"reply")
    wire.turn()
    assert wire.log[OUTBOXES_A_SLICE + 1] == ("b", b"reply")
    wire.turn()
    assert [name for name, data in wire.log if data == b"push"] == [f"m{number}" for number in range(len(many))]
    assert wire.scheduled == []


def test_slices_of_prompt_outboxes_keep_their_order() -> None:
    wire = Wire()
    for number in range(OUTBOXES_A_SLICE + 5):
        wire.flusher.put(wire.outbox(str(number)), b"x")
    wire.turn()
    assert len(wire.log) == OUTBOXES_A_SLICE
    wire.turn()
    assert [name for name, _ in wire.log] == [str(number) for number in range(OUTBOXES_A_SLICE + 5)]
    assert wire.scheduled == []


def test_many_frames_are_several_writes() -> None:
    wire = Wire()
    outbox = wire.outbox("a")
    frames = [bytes([number]) for number in range(FRAMES_A_WRITE * 2 + 3)]
    for frame in frames:
        wire.flusher.put(outbox, frame)
    wire.turn()
    assert [len(data) for _, data in wire.log] == [FRAMES_A_WRITE, FRAMES_A_WRITE, 3]
    assert b"".join(data for _, data in wire.log) == b"".join(frames)


def test_an_owner_that_gives_up_between_two_writes_gets_no_third() -> None:
    wire = Wire()
    outbox = wire.outbox("a")
    written: list[bytes] = []

    def give_up(data: bytes) -> None:
        written.append(data)
        outbox.write = lambda data: None

    outbox.write = give_up
    for _ in range(FRAMES_A_WRITE * 3):
        wire.flusher.put(outbox, b"x")
    wire.turn()
    assert len(written) == 1


def test_flush_one_writes_now_and_nothing_twice() -> None:
    wire = Wire()
    outbox = wire.outbox("a")
    wire.flusher.put(outbox, b"1")
    wire.flusher.flush_one(outbox)
    assert wire.log == [("a", b"1")]
    wire.flusher.put(outbox, b"2")
    wire.turn()
    assert wire.log == [("a", b"1"), ("a", b"2")]
    assert wire.scheduled == [] and not wire.flusher.prompt


def test_flush_one_of_a_broken_transport_is_silent() -> None:
    wire = Wire()

    def broken(data: bytes) -> None:
        raise RuntimeError("gone")

    outbox = Outbox(broken)
    wire.flusher.put(outbox, b"1")
    wire.flusher.flush_one(outbox)
    wire.turn()
    assert outbox.pending is None


def test_what_is_put_while_flushing_goes_out_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "OUTBOXES_A_SLICE", 1)
    wire = Wire()
    second = wire.outbox("b")
    first = Outbox(lambda data: (wire.log.append(("a", data)), wire.flusher.put(second, b"again"))[0])
    wire.flusher.put(first, b"1")
    wire.turn()
    assert len(wire.scheduled) == 1
    wire.turn()
    assert wire.log == [("a", b"1"), ("b", b"again")]
    assert wire.scheduled == []
    wire.flusher.put(second, b"later")
    assert len(wire.scheduled) == 1


def test_frames_for_one_who_does_not_keep_up_are_not_copied() -> None:
    written: list[bytes] = []
    flusher = Flusher([].append)
    outbox = Outbox(written.append)
    outbox.keeps_up = False
    frames = [b"frame %d" % number for number in range(3)]
    for frame in frames:
        flusher.put(outbox, frame)
    flusher.flush()
    assert [id(frame) for frame in written] == [id(frame) for frame in frames]
