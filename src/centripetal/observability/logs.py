"""Sets up logging (`log.level`, `log.file`). Rooms log through `structlog.get_logger("centripetal.<room>")`.

Format and place are decided here alone, and only by the standalone server: inside an application the application does.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog

from ..interfaces import Clock, SystemClock
from ..node.limited_log import Allowance
from .log_entry import ConsoleRenderer, Entry, bound_entry, render_json
from .settings import LogSettings

TRACE = 5
NONE = logging.CRITICAL + 10

LEVELS = {
    "trace": TRACE, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR,
    "fatal": logging.CRITICAL, "none": NONE,
}
"""Thresholds by value of `log.level`, whose case does not matter."""

ENTRIES_PER_SECOND = 100.0
ENTRIES_BURST = 1000

_METHODS = {
    TRACE: "trace", logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


class _Output:
    """Where entries go now, and in which form; one for the process, so that loggers may be kept."""

    threshold = logging.INFO
    stream: TextIO | None = None
    file: TextIO | None = None
    render: Callable[[Any, str, Entry], str] = staticmethod(render_json)
    failed = 0

    def direct(self, settings: LogSettings, stream: TextIO | None, console: bool | None) -> None:
        """Directs entries; raises OSError, with everything as before, when the file cannot be opened."""
        terminal = stream or sys.stdout
        opened = open(settings.file, "a", encoding="utf-8") if settings.file else None  # noqa: SIM115
        if console is None:
            console = opened is None and terminal.isatty()
        self.close()
        self.file = opened
        self.stream = opened or stream or (sys.stdout if console else sys.stderr)
        colors = terminal.isatty() and "NO_COLOR" not in os.environ
        self.render = ConsoleRenderer(colors=colors) if console else render_json
        level = LEVELS.get(settings.level.lower())
        self.threshold = logging.INFO if level is None else level
        logging.getLogger().setLevel(max(logging.WARNING, self.threshold))
        if level is None:
            structlog.get_logger("centripetal.observability").warning("unknown_log_level", value=settings.level)

    def write(self, line: str) -> None:
        stream = self.stream
        if stream is None:
            return
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            # A full disk or a closed pipe must not stop the server.
            self.failed += 1

    def close(self) -> None:
        """Closes the file, if it is one."""
        if self.file is not None:
            self.file.close()
            self.file = None


_output = _Output()


class _Named:
    """What structlog wraps: a room's name and the shared output."""

    __slots__ = ("name",)

    def __init__(self, *names: str) -> None:
        self.name = names[0] if names else ""

    def write(self, line: str) -> None:
        _output.write(line)


class Logger(structlog.BoundLoggerBase):
    """A bound logger whose disabled levels cost one comparison; the threshold can change at any time."""

    def trace(self, event: str, **fields: Any) -> None:
        """Logs at level trace."""
        if _output.threshold <= TRACE:
            self._emit("trace", event, fields)

    def debug(self, event: str, **fields: Any) -> None:
        """Logs at level debug."""
        if _output.threshold <= logging.DEBUG:
            self._emit("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Logs at level info."""
        if _output.threshold <= logging.INFO:
            self._emit("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Logs at level warn."""
        if _output.threshold <= logging.WARNING:
            self._emit("warning", event, fields)

    warn = warning

    def error(self, event: str, **fields: Any) -> None:
        """Logs at level error."""
        if _output.threshold <= logging.ERROR:
            self._emit("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Logs at level error with the traceback of the exception in hand."""
        fields.setdefault("exc_info", True)
        self.error(event, **fields)

    def critical(self, event: str, **fields: Any) -> None:
        """Logs at level fatal."""
        if _output.threshold <= logging.CRITICAL:
            self._emit("critical", event, fields)

    fatal = critical

    def log(self, level: int, event: str, **fields: Any) -> None:
        """Logs at a level given as a number of the standard library."""
        if _output.threshold <= level:
            self._emit(_METHODS.get(level, "info"), event, fields)

    def is_enabled_for(self, level: int) -> bool:
        """Whether entries of that level are written."""
        return _output.threshold <= level

    def _emit(self, method: str, event: str, fields: dict[str, Any]) -> None:
        try:
            args, _ = self._process_event(method, event, fields)
        except structlog.DropEvent:
            return
        self._logger.write(*args)


class _Limit:
    """Processor: bounds the entries with one message, whoever logs them; debug and trace are not limited."""

    def __init__(self, clock: Clock) -> None:
        self._allowance = Allowance(clock, per_second=ENTRIES_PER_SECOND, burst=ENTRIES_BURST)

    def __call__(self, _logger: Any, method: str, entry: Entry) -> Entry:
        if method not in ("debug", "trace"):
            dropped = self._allowance.take(str(entry.get("event")))
            if dropped is None:
                raise structlog.DropEvent
            if dropped:
                entry["dropped"] = entry.get("dropped", 0) + dropped
        return entry


def _add_name(logger: Any, _method: str, entry: Entry) -> Entry:
    if logger.name:
        entry.setdefault("logger", logger.name)
    return entry


class _StandardHandler(logging.Handler):
    """Writes entries of libraries that use the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max((number for number in _METHODS if number <= record.levelno), default=TRACE)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        structlog.get_logger(record.name).log(level, message, exc_info=record.exc_info)


def configure_logging(
    settings: LogSettings, *, stream: TextIO | None = None, console: bool | None = None, clock: Clock | None = None
) -> Callable[[], None]:
    """Sets up logging for the process.

    JSON lines go to `log.file`, which is appended to, or else to standard error; on a terminal entries go to standard
    output in a form for people.

    Args:
        settings: `log.*`.
        stream: where to write instead of standard error or output.
        console: whether to write for people; None to look for a terminal.
        clock: limits the rate of entries.

    Returns:
        Closes the file.

    Raises:
        OSError: the file cannot be opened.
    """
    structlog.configure(
        processors=[_Limit(clock or SystemClock()), _add_name, bound_entry, _render],
        wrapper_class=Logger,
        logger_factory=_Named,
        cache_logger_on_first_use=True,
    )
    _output.direct(settings, stream, console)
    _configure_standard_logging()
    return _output.close


def reconfigure_logging(settings: LogSettings) -> None:
    """Goes on with another level and file. The file is opened anew, so that it may have been moved away.

    Raises:
        OSError: the file cannot be opened; everything stays as it was.
    """
    _output.direct(settings, None, None)


def _render(logger: Any, method: str, entry: Entry) -> str:
    return _output.render(logger, method, entry)


def _configure_standard_logging() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _StandardHandler)]:
        root.removeHandler(handler)
    root.addHandler(_StandardHandler())
