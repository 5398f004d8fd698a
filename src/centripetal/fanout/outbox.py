"""What waits to be written to connections, and its writing: one joined write per connection and turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

OUTBOXES_A_SLICE = 400
"""So many connections are written in one go: about two milliseconds."""

FRAMES_A_WRITE = 64
"""So many frames are joined into one write, so that the bound on a connection's buffer is checked in between."""


class Outbox:
    """The outgoing end of one connection.

    Attributes:
        pending: what is to be written in this turn: None, one frame, or several in order. Most often it is one, which so needs
            no list, nor the memory to be touched where one lies. An outbox with something pending is on the flusher's
            list, once.
        write: writes bytes to the connection; its owner replaces it while the connection does not keep up.
        keeps_up: whether what is written is taken at once. If not, frames are not joined: they wait, and the frames of a
            publication wait in one copy for all who do not keep up.
    """

    __slots__ = ("keeps_up", "pending", "write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.pending: bytes | list[bytes] | None = None
        self.write = write
        self.keeps_up = True


class Flusher:
    """Writes, once a turn, what was put into outboxes.

    Replies and what goes to few do not wait behind a publication to thousands: they have a list of their own, which is
    written first. An outbox with pending frames is on one of the lists, once.

    Attributes:
        prompt: outboxes that were put something by themselves or with few others, in the order of their first frame.
        bulk: outboxes of a publication to many.
    """

    __slots__ = ("_scheduled", "bulk", "prompt", "schedule")

    def __init__(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        """Args: schedule: calls a function at the end of the turn, like `loop.call_soon`."""
        self.prompt: list[Outbox] = []
        self.bulk: list[Outbox] = []
        self.schedule = schedule
        self._scheduled = False

    def put(self, outbox: Outbox, frame: bytes) -> None:
        """Appends a frame to an outbox."""
        pending = outbox.pending
        if pending is None:
            outbox.pending = frame
            self.prompt.append(outbox)
            if not self._scheduled:
                self._scheduled = True
                self.schedule(self.flush)
        elif isinstance(pending, list):
            pending.append(frame)
        else:
            outbox.pending = [pending, frame]

    def wake(self) -> None:
        """Has flush() called at the end of the turn; for those who append to the lists themselves."""
        if not self._scheduled and (self.prompt or self.bulk):
            self._scheduled = True
            self.schedule(self.flush)

    def flush(self) -> None:
        """Writes a slice of each list, and asks to be called again for the rest."""
        prompt, bulk = self.prompt, self.bulk
        if len(prompt) > OUTBOXES_A_SLICE:
            self.prompt = prompt[OUTBOXES_A_SLICE:]
            del prompt[OUTBOXES_A_SLICE:]
        else:
            self.prompt = []
        if len(bulk) > OUTBOXES_A_SLICE:
            batch = bulk[:OUTBOXES_A_SLICE]
            del bulk[:OUTBOXES_A_SLICE]
        else:
            batch = bulk
            self.bulk = []
        write_all(prompt)
        write_all(batch)
        if self.prompt or self.bulk:
            self.schedule(self.flush)
        else:
            self._scheduled = False

    def flush_one(self, outbox: Outbox) -> None:
        """Writes an outbox now, before its connection is closed. It stays on the list, with nothing pending."""
        pending = outbox.pending
        if pending is not None:
            outbox.pending = None
            with contextlib.suppress(RuntimeError):  # as in write_all()
                write_pending(outbox, pending)


def put_each(outboxes: Iterable[Outbox], frame: bytes, mark: Callable[[Outbox], object]) -> None:
    """Appends a frame to many outboxes.

    Args:
        outboxes: to put it into.
        frame: the same for all.
        mark: appends an outbox to one of the flusher's lists; the flusher has to be woken afterwards.
    """
    for outbox in outboxes:
        pending = outbox.pending
        if pending is None:
            outbox.pending = frame
            mark(outbox)
        elif isinstance(pending, list):
            pending.append(frame)
        else:
            outbox.pending = [pending, frame]


def write_all(outboxes: list[Outbox]) -> None:
    """Writes what is pending in each outbox, joined.

    A transport that has just broken raises RuntimeError until its owner is told, which is in a later turn. That is the
    end of this connection only: those behind it in the list get theirs.
    """
    for outbox in outboxes:
        pending = outbox.pending
        outbox.pending = None
        try:
            if isinstance(pending, bytes):
                outbox.write(pending)
            elif pending is not None:
                write_pending(outbox, pending)
        except RuntimeError:
            continue


def write_pending(outbox: Outbox, pending: bytes | list[bytes]) -> None:
    """Writes what was pending in an outbox, joined; many frames as several joined writes, or each by itself."""
    if isinstance(pending, bytes):
        outbox.write(pending)
    elif not outbox.keeps_up:
        for frame in pending:
            outbox.write(frame)
    elif len(pending) <= FRAMES_A_WRITE:
        outbox.write(b"".join(pending))
    else:
        for start in range(0, len(pending), FRAMES_A_WRITE):
            outbox.write(b"".join(pending[start : start + FRAMES_A_WRITE]))
