"""The Prometheus text format, version 0.0.4, with metric names exactly as given.

`prometheus_client` renames counters to end in `_total`; dashboards made for Centrifugo v6 need the names without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from ..node.counters import Duration, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
QUANTILES = (0.5, 0.99, 0.999)

Labels = tuple[tuple[str, str], ...]
Number = int | float


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One value.

    Attributes:
        suffix: what follows the family's name: nothing, `_bucket`, `_sum` or `_count`.
        labels: names and values, in the order to write.
        value: the value.
    """

    suffix: str
    labels: Labels
    value: Number


class Family(msgspec.Struct, frozen=True):
    """A metric with all its label values.

    Attributes:
        name: whole name.
        kind: type of the metric.
        help: what it counts, one line.
        samples: values; a family without any is not written.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    samples: list[Sample]


def histogram_samples(labels: Labels, histogram: Histogram) -> Iterator[Sample]:
    """Yields the cumulative buckets, the sum and the count of a histogram."""
    cumulative = 0
    for bound, observed in zip(histogram.bounds, histogram.buckets, strict=False):
        cumulative += observed
        yield Sample("_bucket", (*labels, ("le", format_number(bound))), cumulative)
    count = histogram.count
    yield Sample("_bucket", (*labels, ("le", "+Inf")), count)
    yield Sample("_sum", labels, histogram.total)
    yield Sample("_count", labels, count)


def summary_samples(labels: Labels, duration: Duration) -> Iterator[Sample]:
    """Yields the quantiles of the latest observations, the sum and the count of a duration."""
    for quantile, value in zip(QUANTILES, duration.quantiles(QUANTILES), strict=False):
        yield Sample("", (*labels, ("quantile", format_number(quantile))), value)
    yield Sample("_sum", labels, duration.total)
    yield Sample("_count", labels, duration.count)


def render_families(families: Iterable[Family]) -> bytes:
    """Returns the text of families, those without samples left out."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines.append(f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n")
        for sample in family.samples:
            text = ",".join(f'{name}="{_escape(value)}"' for name, value in sample.labels)
            braced = f"{{{text}}}" if text else ""
            lines.append(f"{family.name}{sample.suffix}{braced} {format_number(sample.value)}\n")
    return "".join(lines).encode()


def format_number(value: Number) -> str:
    """Returns a number in the shortest form, whole ones without a point."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
