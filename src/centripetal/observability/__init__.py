"""Logs and metrics."""

from .exposition import CONTENT_TYPE
from .interval import IntervalMetrics
from .logs import configure_logging
from .metrics import NodeMetrics

__all__ = ["CONTENT_TYPE", "IntervalMetrics", "NodeMetrics", "configure_logging"]
