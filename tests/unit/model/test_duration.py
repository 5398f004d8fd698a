"""Durations in Go's notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.model.duration import MAX_NANOSECONDS, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("25s", 25.0),
        ("1h30m", 5400.0),
        ("300ms", 0.3),
        ("-1s", -1.0),
        ("+5m", 300.0),
        ("720h", 2592000.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("0", 0.0),
        ("-0", 0.0),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("7ns", 7e-9),
        ("1m1m", 120.0),
    ],
)
def test_known_texts(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-", "1", "-1", "s", "1 s", "1d", "1s ", ".s", "1e3s", "--1s", "1.2.3s", "1s-1s", "١s", "9" * 30 + "h"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (25.0, "25s"),
        (90.0, "1m30s"),
        (2592000.0, "720h0m0s"),
        (0.3, "300ms"),
        (1.5, "1.5s"),
        (-1.0, "-1s"),
        (1e-6, "1µs"),
        (3661.25, "1h1m1.25s"),
    ],
)
def test_known_forms(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(-(2**53), 2**53))
def test_what_is_written_is_read_again(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.text(max_size=200))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert abs(seconds) <= MAX_NANOSECONDS / 1e9
