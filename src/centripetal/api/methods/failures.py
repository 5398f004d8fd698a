"""What happens to failures inside methods."""

from __future__ import annotations

import structlog

from ...interfaces import BrokerError, PresenceError
from ...node.patterns import PatternError

logger = structlog.get_logger(__name__)


def log_failure(method: str, error: Exception) -> None:
    """Logs why a method answers "internal server error": what we got wrong with its traceback, the rest without."""
    if isinstance(error, PatternError):
        logger.info("api_pattern_refused", method=method, reason=str(error))
    elif isinstance(error, (BrokerError, PresenceError)):
        logger.error("api_operation_failed", method=method, reason=str(error), cause=repr(error.__cause__))
    else:
        logger.error("api_method_crashed", method=method, exc_info=error)
