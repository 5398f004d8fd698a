"""Logs and metrics."""

from .exposition import CONTENT_TYPE
from .interval import IntervalMetrics
from .logs import configure_logging
from .metrics import MetricsCollector

__all__ = ["CONTENT_TYPE", "IntervalMetrics", "MetricsCollector", "configure_logging"]
