"""Metrics of the last interval, for the API method `info` (`node.info_metrics_aggregate_interval`)."""

from __future__ import annotations

from .exposition import Family, Number, Sample
from .metrics import NodeMetrics


class IntervalMetrics:
    """Aggregates counters by interval: what they grew by; gauges and quantiles as they are. Histograms are left out."""

    def __init__(self, metrics: NodeMetrics, interval_seconds: float) -> None:
        """Starts the first interval.

        Args:
            metrics: what to aggregate.
            interval_seconds: how often aggregate() will be called.
        """
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._before: dict[str, Number] = {}

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
