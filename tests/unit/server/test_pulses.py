"""Which processes the supervisor gives up."""

from __future__ import annotations

from centripetal.server.pulses import CHECK_SECONDS, MISSED_CHECKS, Pulses


def look(pulses: Pulses, times: int, now: float = 1000.0, beating: tuple[int, ...] = ()) -> tuple[float, list[int]]:
    """Looks so often; returns the time then and who is given up at last."""
    given_up: list[int] = []
    for _ in range(times):
        for process in beating:
            pulses.beat(process)
        now += CHECK_SECONDS
        given_up = pulses.check(now)
    return now, given_up


def test_who_does_not_beat_is_given_up() -> None:
    pulses = Pulses(3)
    now, given_up = look(pulses, 10, beating=(0, 1, 2))
    assert given_up == []
    now, given_up = look(pulses, MISSED_CHECKS - 1, now, beating=(0, 2))
    assert given_up == []
    now, given_up = look(pulses, 1, now, beating=(0, 2))
    assert given_up == [1]
    pulses.begin(1)
    now, given_up = look(pulses, MISSED_CHECKS - 1, now, beating=(0, 2))
    assert given_up == []
    assert look(pulses, 1, now, beating=(0, 2))[1] == [1]


def test_who_beats_late_is_not() -> None:
    pulses = Pulses(1)
    now, _ = look(pulses, 1, beating=(0,))
    for _ in range(3):
        now, given_up = look(pulses, MISSED_CHECKS - 1, now)
        assert given_up == []
        now, given_up = look(pulses, 1, now, beating=(0,))
        assert given_up == []


def test_looks_are_apart_however_often_the_supervisor_wakes() -> None:
    pulses = Pulses(1)
    pulses.check(1000.0)
    assert pulses.pause(1002.0) == CHECK_SECONDS - 2.0
    for number in range(100):
        assert pulses.check(1000.0 + number / 25) == []
    assert look(pulses, MISSED_CHECKS - 2, 1000.0)[1] == []


def test_a_long_time_in_which_all_were_stopped_counts_once() -> None:
    pulses = Pulses(2)
    now, _ = look(pulses, 3, beating=(0, 1))
    assert pulses.check(now + 86400.0) == []


def test_a_beat_after_the_highest_number_is_one() -> None:
    pulses = Pulses(1)
    pulses._beats[0] = 2**64 - 1
    now, _ = look(pulses, MISSED_CHECKS)
    assert look(pulses, 1, now, beating=(0,))[1] == []
