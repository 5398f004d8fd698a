"""The methods of maps over HTTP, beyond the recorded transcripts."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from api_stage import Stage, error

from centripetal.node.maps import MAX_KEY_LENGTH


def write(stage: Stage, key: str, data: Any = 1, **more: Any) -> Any:
    return stage.call("map_publish", {"channel": "table:x", "key": key, "data": data, **more})["result"]


def test_binary_values_cannot_be_told_in_json() -> None:
    stage = Stage()
    write(stage, "text", base64.b64encode(b"[1]").decode())
    assert "result" in stage.call("map_publish", {"channel": "table:x", "key": "k", "b64data": "AP8="})
    assert stage.send("/api/map_read_state", b'{"channel":"table:x","limit":-1}').status == 500
    one = stage.call("map_read_state", {"channel": "table:x", "key": "text"})
    assert one["result"]["entries"][0]["key"] == "text"


def test_tags_and_conditions_of_a_write() -> None:
    stage = Stage()
    assert write(stage, "k", tags={"a": "1", "b": None})["offset"] == 1
    (entry,) = stage.call("map_read_state", {"channel": "table:x", "key": "k"})["result"]["entries"]
    assert entry["tags"] == {"a": "1", "b": ""}
    assert write(stage, "k", key_mode="if_new")["suppress_reason"] == "key_exists"
    assert write(stage, "k", version=2**64 - 1)["offset"] == 2
    assert write(stage, "k", version=5)["suppress_reason"] == "version"
    assert stage.node.counters.map_publish_suppressed == {"key_exists": 1, "version": 1}
    assert stage.node.counters.map_publications_sent == 4


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("map_publish", {"version": 2**64}),
        ("map_publish", {"key_mode": "never"}),
        ("map_publish", {"key": "k" * (MAX_KEY_LENGTH + 1)}),
        ("map_publish", {"b64data": "?"}),
        ("map_remove", {"key": ""}),
        ("map_read_state", {"revision_offset": 2**64}),
        ("map_read_stream", {"since_offset": 2**64}),
    ],
)
def test_bad_requests(method: str, parameters: dict[str, Any]) -> None:
    assert Stage().call(method, {"channel": "table:x", "key": "k", "data": 1, **parameters}) == error(107)


def test_changes_that_are_lost_are_told() -> None:
    stage = Stage()
    for number in range(5):
        write(stage, "k", number)

    def read(**wanted: Any) -> Any:
        return stage.call("map_read_stream", {"channel": "table:x", "limit": -1, **wanted})

    assert [entry["offset"] for entry in read()["result"]["entries"]] == [3, 4, 5]
    assert read(since_offset=1) == error(112)
    assert [entry["offset"] for entry in read(since_offset=2)["result"]["entries"]] == [3, 4, 5]
    assert "entries" not in read(since_offset=5)["result"]
    assert [entry["offset"] for entry in read(since_offset=5, reverse=True)["result"]["entries"]] == [4, 3]


def test_null_is_as_good_as_absent() -> None:
    stage = Stage()
    body = {"channel": "table:x", "key": "k", "data": 1, "tags": None, "version": None, "key_mode": None, "delta": None}
    assert stage.call("map_publish", body)["result"]["offset"] == 1
    read = {"channel": "table:x", "limit": -1, "cursor": None, "key": None, "revision_epoch": None}
    assert len(stage.call("map_read_state", read)["result"]["entries"]) == 1
    assert "result" in stage.call("map_clear", {"channel": "table:x"})


def test_the_legacy_endpoint_knows_them() -> None:
    stage = Stage()
    body = b'{"method":33,"params":{"channel":"table:x","key":"k","data":1}}{"method":"map_stats","params":{"channel":"table:x"}}'
    first, second = stage.send("/api", body).body.splitlines()
    assert json.loads(first)["result"]["offset"] == 1
    assert json.loads(second) == {"result": {"num_keys": 1}}
