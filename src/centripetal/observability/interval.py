"""Metrics of the last interval, for the API method `info` (`node.info_metrics_aggregate_interval`)."""

from __future__ import annotations

from typing import Protocol

from ..interfaces import Clock
from .exposition import Family, Number, Sample
from .metrics import MetricsCollector


class Informed(Protocol):
    """What keeps the latest aggregate (`NodeInfo`)."""

    metrics: dict[str, object] | None


class IntervalMetrics:
    """Aggregates counters by interval: what they grew by; gauges and quantiles as they are. Histograms are left out."""

    def __init__(self, metrics: MetricsCollector, info: Informed, clock: Clock, interval_seconds: float) -> None:
        """Starts the first interval, and gives what was counted until now.

        Args:
            metrics: what to aggregate.
            info: gets each aggregate.
            clock: monotonic seconds.
            interval_seconds: how long an interval is.
        """
        self._metrics = metrics
        self._info = info
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._before: dict[str, Number] = {}
        self._end_at = clock.monotonic() + interval_seconds
        info.metrics = self.aggregate()

    def check(self) -> None:
        """Ends the interval if it is over; to be called every second."""
        now = self._clock.monotonic()
        if now >= self._end_at:
            self._end_at = now + self._interval_seconds
            self._info.metrics = self.aggregate()

    def aggregate(self) -> dict[str, object]:
        """Ends the interval.

        Returns:
            Its metrics in the wire form of `Metrics`: `interval` in seconds, and `items`, values by dotted name.
        """
        items: dict[str, Number] = {}
        for family in self._metrics.families():
            if family.kind == "histogram":
                continue
            for sample in family.samples:
                name = _dotted_name(family, sample)
                value = sample.value
                if family.kind == "counter" or sample.suffix:
                    items[name] = value - self._before.get(name, 0)
                    self._before[name] = value
                else:
                    items[name] = value
        interval = self._interval_seconds
        return {"interval": int(interval) if interval == int(interval) else interval, "items": items}


def _dotted_name(family: Family, sample: Sample) -> str:
    """Names a sample as Centrifugo v6 does: `centrifugo.node.action_count.action.presence`."""
    parts = family.name.split("_", 2)
    if sample.suffix:
        parts.append(sample.suffix[1:])
    labels = [(name, value) for name, value in sample.labels if value]
    for name, value in labels:
        if name == "quantile":
            parts += ["quantile", value.removeprefix("0.").ljust(2, "0")]
    for name, value in labels:
        if name != "quantile":
            parts += [name, value]
    return ".".join(parts)
