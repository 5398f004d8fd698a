"""The method shared_poll_publish, beyond the recorded transcripts."""

from __future__ import annotations

from typing import Any

import pytest
from api_stage import Stage, error

from centripetal.interfaces import BrokerError

GOOD = {"channel": "poll:x", "key": "a", "data": {"n": 1}, "version": 5, "epoch": "one"}


def test_a_value_goes_to_the_broker() -> None:
    stage = Stage()
    assert stage.call("shared_poll_publish", GOOD) == {"result": {}}
    assert stage.call("shared_poll_publish", {**GOOD, "b64data": "AP8=", "version": 2**64 - 1, "epoch": None}) == {
        "result": {}
    }
    assert stage.node.calls == [
        ("shared_poll_publish", "poll:x", "a", b'{"n": 1}', 5, "one"),
        ("shared_poll_publish", "poll:x", "a", b"\x00\xff", 2**64 - 1, ""),
    ]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"channel": None}, 107), ({"key": ""}, 107), ({"version": 0}, 107), ({"version": 2**64}, 107),
        ({"b64data": "?"}, 107), ({"channel": "room:x"}, 107), ({"channel": "quiet:x"}, 108), ({"channel": "no:x"}, 102),
    ],
)  # fmt: skip
def test_refusals(parameters: dict[str, Any], code: int) -> None:
    stage = Stage()
    assert stage.call("shared_poll_publish", {**GOOD, **parameters}) == error(code)
    assert stage.node.calls == []


def test_a_broker_that_fails() -> None:
    stage = Stage()
    stage.node.failure = BrokerError("away")
    assert stage.call("shared_poll_publish", GOOD) == error(100)
