"""Spans of time: float seconds at run time, Go's notation ("1h30m", "300ms", "-1s") in text."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

Duration = Annotated[float, Meta(extra={"kind": "duration"})]
"""Seconds. Negative values switch something off where an option says so."""

MAX_NANOSECONDS = 2**63 - 1
_MAX_TEXT_LENGTH = 128
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Reads a duration such as "25s", "1h30m", "300ms", "1.5h", "-1s" or "0".

    Returns:
        Seconds, exact to the nanosecond as far as a float holds it.

    Raises:
        ValueError: the text has another form or exceeds 64 bits of nanoseconds (about 292 years).
    """
    if len(text) > _MAX_TEXT_LENGTH:
        raise ValueError("a duration this long in text is not one")
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0.0
    total = 0
    position = 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            raise ValueError(
                f"{text!r} is not a duration; write a number and a unit (ns, us, ms, s, m, h), such as 10s"
            )
        total += _nanoseconds(part[1], _NANOSECONDS[part[2]])
        position = part.end()
    if not body:
        raise ValueError("an empty text is not a duration")
    if total > MAX_NANOSECONDS:
        raise ValueError(f"{text!r} is longer than a duration can be (292 years)")
    return -total / 1e9 if text[0] == "-" else total / 1e9


def _nanoseconds(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    total = int(whole or "0") * unit
    if fraction:
        total += int(fraction) * unit // 10 ** len(fraction)
    return total


def format_duration(seconds: float) -> str:
    """Writes seconds in the same notation: "25s", "1m30s", "720h0m0s", "300ms", "-1s", "0s"."""
    total = round(seconds * 1e9)
    if total == 0:
        return "0s"
    sign = "-" if total < 0 else ""
    total = abs(total)
    if total < 1_000_000_000:
        for unit in ("ms", "µs", "ns"):
            if total >= _NANOSECONDS[unit]:
                return f"{sign}{_decimal(total, _NANOSECONDS[unit])}{unit}"
    minutes, rest = divmod(total, _NANOSECONDS["m"])
    text = _decimal(rest, _NANOSECONDS["s"]) + "s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _decimal(nanoseconds: int, unit: int) -> str:
    whole, rest = divmod(nanoseconds, unit)
    if not rest:
        return str(whole)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"
