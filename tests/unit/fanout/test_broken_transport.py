"""A transport that has just broken costs nobody else anything."""

from __future__ import annotations

from collections.abc import Callable

from centripetal.fanout.outbox import FRAMES_A_WRITE, Flusher, Outbox


def broken(data: bytes) -> None:
    raise RuntimeError("the handler is closed")


def test_a_broken_transport_does_not_keep_others_from_being_written() -> None:
    scheduled: list[Callable[[], None]] = []
    written: list[bytes] = []
    flusher = Flusher(scheduled.append)
    outboxes = [Outbox(broken), Outbox(written.append), Outbox(broken), Outbox(written.append)]
    for number, outbox in enumerate(outboxes):
        for _ in range(FRAMES_A_WRITE + 1 if number == 2 else 1):
            flusher.put(outbox, b"frame")
    scheduled.pop()()
    assert written == [b"frame", b"frame"]
    flusher.put(outboxes[1], b"next")
    assert scheduled, "the flusher must go on being scheduled"
    scheduled.pop()()
    assert written[2:] == [b"next"]


def test_a_last_write_to_a_broken_transport_is_nobodys_problem() -> None:
    outbox = Outbox(broken)
    flusher = Flusher(lambda flush: None)
    flusher.put(outbox, b"frame")
    flusher.flush_one(outbox)
    assert not outbox.pending
