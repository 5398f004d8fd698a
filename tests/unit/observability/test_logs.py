"""Log entries: form, bounds, escaping, hiding, levels, limits."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from centripetal.node.limited_log import MAX_EVENTS, Allowance, LimitedLogger
from centripetal.observability import configure_logging
from centripetal.observability.log_entry import bound_value, escape
from centripetal.observability.settings import LogSettings


class ManualClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def start(level: str = "info", **options: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(LogSettings(level=level), stream=stream, **options)
    return stream


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_entry_is_a_json_line_in_the_known_names() -> None:
    stream = start()
    structlog.get_logger("centripetal.node").bind(client="c1").info("client_left", code=3001)
    (entry,) = entries(stream)
    assert entry.pop("time").endswith("Z")
    assert list(entry) == ["level", "client", "code", "logger", "message"]
    assert entry == {
        "level": "info", "client": "c1", "code": 3001, "logger": "centripetal.node", "message": "client_left",
    }


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("trace", ["trace", "debug", "info", "warn", "error", "error", "fatal"]),
        ("debug", ["debug", "info", "warn", "error", "error", "fatal"]),
        ("INFO", ["info", "warn", "error", "error", "fatal"]),
        ("warn", ["warn", "error", "error", "fatal"]),
        ("error", ["error", "error", "fatal"]),
        ("fatal", ["fatal"]),
        ("none", []),
    ],
)
def test_the_level_is_a_threshold(level: str, written: list[str]) -> None:
    stream = start(level)
    logger = structlog.get_logger("x")
    for method in ("trace", "debug", "info", "warning", "error", "exception", "critical"):
        getattr(logger, method)("event")
    logging.getLogger("library").log(logging.DEBUG, "not asked for")
    assert [entry["level"] for entry in entries(stream)] == written


def test_an_unknown_level_means_info_and_a_warning() -> None:
    stream = start("loud")
    structlog.get_logger().debug("hidden")
    (entry,) = entries(stream)
    assert (entry["level"], entry["message"], entry["value"]) == ("warn", "unknown_log_level", "loud")


def test_a_kept_logger_follows_a_new_configuration() -> None:
    logger = structlog.get_logger("x")
    first = start("error")
    logger.info("hidden")
    second = start("info")
    logger.info("shown")
    assert first.getvalue() == ""
    assert [entry["message"] for entry in entries(second)] == ["shown"]


def test_what_comes_from_outside_is_escaped_and_cut() -> None:
    stream = start()
    structlog.get_logger().info("e", a="x\x1b[31m\r\n\x00\x85\u202e\u2028", b="y" * 1000, c="\ud800", d="é ☃")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert escape(text[:-1]) == text[:-1]
    (entry,) = entries(stream)
    assert entry["a"] == "x\\x1b[31m\\r\\n\\x00\\x85\\u202e\\u2028"
    assert entry["b"] == "y" * 256 + "…(+744)"
    assert (entry["c"], entry["d"]) == ("\\ud800", "é ☃")


def test_secrets_and_payloads_are_never_written() -> None:
    stream = start("debug", console=False)
    structlog.get_logger().debug(
        "e", token="s3cret", password="s3cret", data=b"s3cret", raw=b"s3cret",
        inner={"api_key": "s3cret", "n": b"s3cret"},
    )
    assert "s3cret" not in stream.getvalue()
    (entry,) = entries(stream)
    assert entry["inner"] == {"api_key": "[hidden]", "n": "<6 bytes>"}


def test_an_exception_is_written_with_its_traceback() -> None:
    stream = start()
    try:
        raise ValueError("bad \x1b[0m thing " + "z" * 1000)
    except ValueError:
        structlog.get_logger().exception("work_failed")
    (entry,) = entries(stream)
    assert entry["level"] == "error"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert "ValueError: bad \\x1b[0m thing zzz" in entry["exception"]
    assert len(entry["exception"]) < 2000


def test_the_console_form_is_one_line_with_fields() -> None:
    stream = start(console=True)
    structlog.get_logger().warning("slow_client", client="c1", why="too much", n=3, empty="")
    line = stream.getvalue()
    assert line[19:] == ' [WRN] slow_client client=c1 why="too much" n=3 empty=""\n'


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("before\n")
    close = configure_logging(LogSettings(file=str(path)))
    structlog.get_logger().info("event")
    close()
    structlog.get_logger().info("after the file was closed")
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert [json.loads(line)["message"] for line in lines[1:]] == ["event"]


def test_libraries_that_use_standard_logging_come_through() -> None:
    logging.getLogger().handlers.clear()  # Those of pytest refuse the second entry.
    stream = start()
    logging.getLogger("asyncio").error("Task %s failed\n", "x")
    logging.getLogger("asyncio").error("bad %d", "format")
    logging.getLogger("asyncio").info("chatter")
    first, second = entries(stream)
    assert (first["level"], first["logger"], first["message"]) == ("error", "asyncio", "Task x failed\\n")
    assert second["message"] == "bad %d"


def test_a_flood_of_one_message_is_bounded_and_counted() -> None:
    clock = ManualClock()
    stream = start(clock=clock)
    logger = structlog.get_logger()
    for number in range(3000):
        logger.error("client_error", n=number)
    logger.error("other")
    assert len(entries(stream)) == 1001
    clock.now += 1
    logger.error("client_error")
    assert entries(stream)[-1]["dropped"] == 2000


def test_a_failing_stream_stops_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logging(LogSettings(), stream=Full())
    structlog.get_logger().info("event")


def test_a_limited_logger_drops_counts_and_tells() -> None:
    clock = ManualClock()
    stream = start()
    limited = LimitedLogger(structlog.get_logger(), clock, per_second=2, burst=3)
    for _ in range(10):
        limited.info("client_error")
        limited.debug("not enabled")
    assert len(entries(stream)) == 3
    clock.now += 0.5
    limited.warning("client_error", code=1)
    assert (entries(stream)[-1]["dropped"], entries(stream)[-1]["level"]) == (7, "warn")
    limited.error("client_error")
    limited.report_dropped()
    limited.report_dropped()
    told = [entry for entry in entries(stream) if entry["message"] == "log_entries_dropped"]
    assert [(entry["dropped_event"], entry["dropped"]) for entry in told] == [("client_error", 1)]


def test_an_allowance_never_exceeds_its_burst_and_its_names() -> None:
    clock = ManualClock()
    allowance = Allowance(clock, per_second=1, burst=2)
    clock.now += 1_000_000
    assert [allowance.take("e") for _ in range(4)] == [0, 0, None, None]
    for number in range(2 * MAX_EVENTS):
        allowance.take(str(number))
    assert len(allowance._buckets) <= MAX_EVENTS


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


VALUES = st.recursive(
    st.sampled_from([None, True, Broken(), 2**200]) | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text()),
    max_leaves=20,
)


@given(VALUES)
def test_any_value_can_be_written(value: object) -> None:
    text = json.dumps(bound_value(value))
    assert len(text) < 200_000
    stream = start(clock=ManualClock())
    structlog.get_logger().info("e", value=value)
    assert len(stream.getvalue().splitlines()) == 1
    stream = start(console=True, clock=ManualClock())
    structlog.get_logger().info("e", value=value)
    assert len(stream.getvalue().splitlines()) == 1
