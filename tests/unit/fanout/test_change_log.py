"""The log of a map's changes, as its readers use it."""

from __future__ import annotations

from typing import NamedTuple

from centripetal.fanout import changes
from centripetal.fanout.changes import ChangeLog


class Change(NamedTuple):
    key: str
    offset: int = 0


def keys(log: ChangeLog, since: int) -> list[str]:
    return [change.key for _, change in log.after(since)]


def test_it_has_the_latest_change_of_each_key_in_order() -> None:
    log, reader = ChangeLog(), object()
    start = log.begin(reader)
    for offset, key in enumerate("abac", 1):
        log.append((Change(key, offset), "epoch"))
    assert keys(log, start) == ["b", "a", "c"]
    assert keys(log, 2) == ["a", "c"] and keys(log, 4) == []
    assert log.number_of("a") == 3 and log.number_of("nobody") == 0
    assert (log.origin, log.top, log.sequence, log.broken) == (1, 4, 4, False)


def test_what_nobody_needs_any_more_goes() -> None:
    log, first, second = ChangeLog(), object(), object()
    log.begin(first)
    for number in range(10):
        log.append((Change(f"k{number}"), "e"))
    start = log.begin(second)
    assert not log.end(first) and len(log) == 0
    log.append((Change("late"), "e"))
    assert keys(log, start) == ["late"]
    assert log.end(second)


def test_much_goes_bit_by_bit() -> None:
    log, first, second = ChangeLog(), object(), object()
    log.begin(first)
    for number in range(changes._DROPPED_AT_ONCE + 100):
        log.append((Change(f"k{number}"), "e"))
    start = log.begin(second)
    log.end(first)
    assert len(log) == 100
    for number in range(60):
        log.append((Change(f"n{number}"), "e"))
    assert keys(log, start) == [f"n{number}" for number in range(60)] and len(log) == 60


def test_a_lost_change_or_another_map_break_it() -> None:
    for second in ((Change("b", 3), "e"), (Change("b", 2), "other")):
        log = ChangeLog()
        log.begin(log)
        log.append((Change("a", 1), "e"))
        assert not log.broken
        log.append(second)
        assert log.broken
    log = ChangeLog()
    log.begin(log)
    for key in "ab":
        log.append((Change(key), "e"))  # no offsets without a stream
    assert not log.broken
