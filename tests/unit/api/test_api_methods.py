"""Every method with every option, through the HTTP binding, against a fake node."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from api_stage import Stage, error
from structlog.testing import capture_logs

from centripetal.interfaces import BrokerError, HistoryFilter, PresenceError, PublishOptions, SubscriptionOverrides
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.model.errors import ERROR_ALREADY_SUBSCRIBED, ERROR_EXPIRED, ERROR_UNKNOWN_CHANNEL
from centripetal.node.patterns import PatternError

OK: dict[str, Any] = {"result": {}}


def test_publish_passes_the_text_of_the_payload_on() -> None:
    stage = Stage()
    body = b'{"channel":"news","data": {"a" : [1, 2.50]} , "nonsense": {"x": 1}}'
    assert stage.send("/api/publish", body).body == b'{"result":{}}'
    assert stage.node.calls == [
        ("publish", "news", b'{"a" : [1, 2.50]}', PublishOptions(history_meta_ttl_seconds=2592000.0))
    ]


def test_publish_takes_history_options_from_the_namespace() -> None:
    stage = Stage()
    answer = stage.call("publish", {"channel": "hist:a", "data": 1, "tags": {"k": "v"}})
    assert answer == {"result": {"offset": 1, "epoch": "epoch"}}
    assert stage.node.calls[0][3] == PublishOptions(
        history_size=10, history_ttl_seconds=60.0, history_meta_ttl_seconds=7.0, tags={"k": "v"}, use_delta=True
    )


def test_publish_options_of_the_request() -> None:
    stage = Stage()
    parameters = {
        "channel": "hist:a", "data": None, "skip_history": True, "idempotency_key": "i", "delta": True, "version": 5,
        "version_epoch": "v",
    }  # fmt: skip
    assert stage.call("publish", parameters) == OK
    assert stage.node.calls == [
        (
            "publish",
            "hist:a",
            b"null",
            PublishOptions(
                history_meta_ttl_seconds=7.0, idempotency_key="i", version=5, version_epoch="v", use_delta=True
            ),
        )
    ]


def test_null_is_the_same_as_absent() -> None:
    stage = Stage()
    nulls = dict.fromkeys(("b64data", "skip_history", "tags", "idempotency_key", "delta", "version", "version_epoch"))
    assert stage.call("publish", {"channel": "news", "data": {}, **nulls}) == OK
    assert stage.node.calls[0][3] == PublishOptions(history_meta_ttl_seconds=2592000.0)
    assert stage.call("publish", {"channel": "news", "data": {}, "tags": {"a": None}}) == OK
    assert stage.node.calls[1][3].tags == {"a": ""}
    assert stage.call("publish", None) == error(107)
    assert stage.call("info", None)["result"]["nodes"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 107),
        ({"channel": "", "data": {}}, 107),
        ({"channel": "news"}, 107),
        ({"channel": "nowhere:x", "data": {}}, 102),
        ({"channel": "table:x", "data": {}}, 107),
        ({"channel": "news", "b64data": "%%%"}, 107),
        ({"channel": "news", "b64data": "e30"}, 107),
        ({"channel": "news", "b64data": "é"}, 107),
        ({"channel": "json:x", "b64data": base64.b64encode(b"not json").decode()}, 107),
        ({"channel": "news", "data": {}, "version": 2**64}, 107),
    ],
)
def test_publish_refuses(parameters: Any, code: int) -> None:
    stage = Stage()
    assert stage.call("publish", parameters) == error(code)
    assert stage.node.calls == []
    assert stage.node.counters.api_errors == {("http", "publish", code): 1}


def test_base64_wins_and_may_have_line_breaks() -> None:
    stage = Stage()
    assert stage.call("publish", {"channel": "binary:x", "data": 1, "b64data": "AP\r\n+A\n"}) == OK
    assert stage.node.calls[0][2] == b"\x00\xff\x80"
    assert stage.call("publish", {"channel": "binary:x", "data": 1, "b64data": ""}) == OK
    assert stage.node.calls[1][2] == b"1"


def test_broadcast_answers_in_the_order_of_the_channels() -> None:
    stage = Stage()
    channels = ["hist:a", "nowhere:x", "", "two", "table:x", "json:x", None]
    answer = stage.call("broadcast", {"channels": channels, "b64data": "bm90IGpzb24=", "tags": {"k": "v"}})
    assert answer["result"]["responses"] == [
        {"result": {"offset": 1, "epoch": "epoch"}}, error(102), error(107), OK, OK, error(107), error(107),
    ]  # fmt: skip
    assert [call[1] for call in stage.node.calls] == ["hist:a", "two", "table:x"]
    assert all(call[3].tags == {"k": "v"} for call in stage.node.calls)
    assert stage.node.counters.api_errors == {
        ("http", "broadcast_publish", 102): 1,
        ("http", "broadcast_publish", 107): 3,
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"data": {}},
        {"channels": [], "data": {}},
        {"channels": None, "data": {}},
        {"channels": ["a"], "b64data": "%"},
        {"channels": ["a"], "data": {}, "version": 2**64},
        {"channels": ["a"] * 100_001, "data": {}},
    ],
)
def test_broadcast_refuses(parameters: Any) -> None:
    stage = Stage()
    assert stage.call("broadcast", parameters) == error(107)
    assert stage.node.calls == []


def test_broadcast_without_data_fails_in_each_channel() -> None:
    assert Stage().call("broadcast", {"channels": ["a", "b"]}) == {"result": {"responses": [error(107), error(107)]}}


def test_broadcast_survives_a_broken_broker_and_logs_it_once() -> None:
    stage = Stage()
    stage.node.failure = BrokerError("away")
    with capture_logs() as logs:
        answer = stage.call("broadcast", {"channels": ["a", "b", "c"], "data": {}})
    assert answer == {"result": {"responses": [error(100)] * 3}}
    assert [entry["event"] for entry in logs] == ["api_operation_failed"]


def test_broadcast_runs_together_when_the_broker_waits() -> None:
    stage = Stage()
    stage.node.turns = 50
    answer = stage.call("broadcast", {"channels": [f"hist:{n}" for n in range(2000)], "data": {}})
    assert len(answer["result"]["responses"]) == 2000
    assert all(response["result"]["offset"] == 1 for response in answer["result"]["responses"])
    assert stage.node.most_waiting == 1024


def test_subscribe_options() -> None:
    stage = Stage()
    parameters = {
        "user": "alice", "channel": "news", "client": "c", "session": "s", "expire_at": 100, "info": {"i": 1},
        "data": [1], "recover_since": {"offset": 3, "epoch": "e"},
        "override": {"presence": {"value": True}, "join_leave": {}, "force_recovery": {"value": None}},
    }  # fmt: skip
    assert stage.call("subscribe", parameters) == OK
    assert stage.node.calls == [
        (
            "subscribe_user",
            "alice",
            "news",
            {
                "client": "c",
                "session": "s",
                "expire_at": 100,
                "info": b'{"i": 1}',
                "data": b"[1]",
                "recover_since": StreamPosition(3, "e"),
                "overrides": SubscriptionOverrides(presence=True, join_leave=False, force_recovery=False),
            },
        )
    ]


def test_subscribe_defaults_and_base64() -> None:
    stage = Stage()
    assert stage.call("subscribe", {"channel": "news", "b64data": "eyJiNjQiOjF9", "b64info": "MQ=="}) == OK
    assert stage.node.calls[0][1] == ""
    assert stage.node.calls[0][3] == {
        "client": "", "session": "", "expire_at": 0, "info": b"1", "data": b'{"b64":1}', "recover_since": None,
        "overrides": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"user": "alice"}, 107),
        ({"user": "alice", "channel": "nowhere:x"}, 102),
        ({"user": "alice", "channel": "news", "b64data": "%"}, 107),
        ({"user": "alice", "channel": "news", "b64info": "%"}, 107),
        ({"user": "alice", "channel": "news", "recover_since": {"offset": 2**64}}, 107),
        ({"user": "alice", "channel": "news", "all_users": True}, 108),
        ({"user": "alice", "channel": "news", "label_filter": {"key": "k"}}, 108),
    ],
)
def test_subscribe_refuses(parameters: Any, code: int) -> None:
    stage = Stage()
    assert stage.call("subscribe", parameters) == error(code)
    assert stage.node.calls == []


@pytest.mark.parametrize("failure", [ERROR_ALREADY_SUBSCRIBED, ERROR_EXPIRED])
def test_errors_that_the_api_does_not_have_are_internal(failure: Exception) -> None:
    stage = Stage()
    stage.node.failure = failure
    assert stage.call("subscribe", {"user": "alice", "channel": "news"}) == error(100)


def test_unsubscribe() -> None:
    stage = Stage()
    narrowed = {"client": "c", "session": "s"}
    assert stage.call("unsubscribe", {"user": "alice", "channel": "news", **narrowed}) == OK
    assert stage.call("unsubscribe", {"user": "alice"}) == OK
    assert stage.node.calls == [
        ("unsubscribe_user", "alice", "news", narrowed),
        ("unsubscribe_user", "alice", "", {"client": "", "session": ""}),
    ]
    assert stage.call("unsubscribe", {"user": "alice", "channel": "nowhere:x"}) == error(102)
    assert stage.call("unsubscribe", {"all_users": True}) == error(108)
    assert len(stage.node.calls) == 2


def test_disconnect() -> None:
    stage = Stage()
    assert stage.call("disconnect", {"user": "alice"}) == OK
    own = {"code": 4000, "reason": "ä" * 100}
    parameters = {"user": "alice", "disconnect": own, "client": "c", "session": "s", "whitelist": ["w", None]}
    assert stage.call("disconnect", parameters) == OK
    assert stage.call("disconnect", {"user": "alice", "label_filter": {}}) == error(108)
    assert stage.call("disconnect", {"user": "alice", "disconnect": {"code": 65536}}) == error(107)
    first, second = stage.node.calls
    assert (first[1], first[2].code, first[2].reason) == ("alice", 3503, "force disconnect")
    assert first[3] == {"client": "", "session": "", "whitelist": []}
    assert (second[2].code, second[2].reason) == (4000, "ä" * 61)
    assert second[3] == {"client": "c", "session": "s", "whitelist": ["w", ""]}


def test_refresh() -> None:
    stage = Stage()
    assert stage.call("refresh", {"user": "alice"}) == OK
    parameters = {"user": "a", "client": "c", "session": "s", "expired": True, "expire_at": 9, "info": {}}
    assert stage.call("refresh", parameters) == OK
    assert stage.call("refresh", {"user": "alice", "all_users": True}) == error(108)
    assert [call[2] for call in stage.node.calls] == [
        {"client": "", "session": "", "expired": False, "expire_at": 0, "info": None},
        {"client": "c", "session": "s", "expired": True, "expire_at": 9, "info": b"{}"},
    ]


def test_presence() -> None:
    stage = Stage()
    stage.node.present = {"c1": ClientInfo("alice", "c1", b'{"a":1}', b"2"), "c2": ClientInfo("", "c2")}
    assert stage.call("presence", {"channel": "room:x"}) == {
        "result": {
            "presence": {
                "c1": {"user": "alice", "client": "c1", "conn_info": {"a": 1}, "chan_info": 2},
                "c2": {"user": "", "client": "c2"},
            }
        }
    }
    stage.node.present = {}
    assert stage.call("presence", {"channel": "room:x"}) == {"result": {"presence": {}}}
    assert stage.call("presence_stats", {"channel": "room:x"}) == {"result": {"num_clients": 2, "num_users": 1}}


@pytest.mark.parametrize("number", [1, 199, 200, 201, 1000])
def test_presence_of_many(number: int) -> None:
    stage = Stage()
    stage.node.present = {f"c{at}": ClientInfo(f"u{at}", f"c{at}", b'{"at":%d}' % at * (at % 2)) for at in range(number)}
    assert stage.call("presence", {"channel": "room:x"})["result"]["presence"] == {
        f"c{at}": {"user": f"u{at}", "client": f"c{at}", **({"conn_info": {"at": at}} if at % 2 else {})}
        for at in range(number)
    }


@pytest.mark.parametrize("method", ["presence", "presence_stats", "history", "history_remove"])
def test_methods_of_a_channel_refuse(method: str) -> None:
    stage = Stage()
    assert stage.call(method, {}) == error(107)
    assert stage.call(method, {"channel": "nowhere:x"}) == error(102)
    assert stage.call(method, {"channel": "news"}) == error(108)
    assert stage.node.calls == []


def test_history() -> None:
    stage = Stage()
    stage.node.streams["hist:a"] = [
        Publication(b'{"n": 1}', 1, tags={"k": "v"}),
        Publication(b"2", 2, ClientInfo("alice", "c1", b'"info"')),
        Publication(b"", 3),
    ]
    assert stage.call("history", {"channel": "hist:a", "limit": -1}) == {
        "result": {
            "publications": [
                {"data": {"n": 1}, "offset": 1, "tags": {"k": "v"}},
                {"data": 2, "offset": 2, "info": {"user": "alice", "client": "c1", "conn_info": "info"}},
                {"offset": 3},
            ],
            "epoch": "epoch",
            "offset": 3,
        }
    }
    assert stage.call("history", {"channel": "hist:a"})["result"] == {"publications": [], "epoch": "epoch", "offset": 3}
    since = {"offset": 2, "epoch": "epoch"}
    stage.call("history", {"channel": "hist:a", "limit": 5, "since": since, "reverse": True})
    assert [call[2:] for call in stage.node.calls] == [
        (HistoryFilter(-1), 7.0),
        (HistoryFilter(0), 7.0),
        (HistoryFilter(5, StreamPosition(2, "epoch"), True), 7.0),
    ]


def test_history_positions() -> None:
    stage = Stage()
    read = {"channel": "hist:a", "limit": 1}
    assert stage.call("history", {**read, "since": {"offset": 1, "epoch": "other"}}) == error(112)
    assert "result" in stage.call("history", {**read, "since": {"offset": 1}})
    assert stage.call("history", {**read, "since": {}, "reverse": True}) == error(100)
    assert stage.call("history", {**read, "since": {"offset": 2**64}}) == error(107)


def test_history_of_payloads_that_are_no_json() -> None:
    stage = Stage()
    for payload in (b"\xff", b"not json", b'"\xff"', b"{} {}", b"[" * 10_000):
        stage.node.streams["hist:a"] = [Publication(payload, 1)]
        with capture_logs() as logs:
            response = stage.send("/api/history", b'{"channel":"hist:a","limit":1}')
        assert (response.status, response.body) == (500, b"Internal Server Error\n")
        assert [entry["event"] for entry in logs] == ["api_result_not_json"]


def test_history_remove() -> None:
    stage = Stage()
    assert stage.call("history_remove", {"channel": "hist:a"}) == OK
    assert stage.node.calls == [("remove_history", "hist:a")]


def test_info_channels_and_rpc() -> None:
    stage = Stage()
    assert stage.call("info", {}) == {"result": {"nodes": [{"uid": "u", "num_clients": 0}]}}
    assert stage.call("channels", {"pattern": "n*"}) == {
        "result": {"channels": {"news": {"num_clients": 2}, 'quo"ted': {}}}
    }
    assert stage.call("rpc", {}) == error(107)
    assert stage.call("rpc", {"method": "sum", "params": {"a": 1}}) == error(104)
    stage.node.failure = PatternError("broken")
    assert stage.call("channels", {"pattern": "["}) == error(100)


@pytest.mark.parametrize("failure", [BrokerError("away"), PresenceError("away"), ZeroDivisionError("secret")])
def test_failures_are_logged_and_internal(failure: Exception) -> None:
    stage = Stage()
    stage.node.failure = failure
    with capture_logs() as logs:
        assert stage.call("presence", {"channel": "room:x"}) == error(100)
    assert len(logs) == 1
    assert logs[0]["method"] == "presence"
    assert ("exc_info" in logs[0]) == isinstance(failure, ZeroDivisionError)


def test_calls_are_counted() -> None:
    stage = Stage()
    stage.call("publish", {"channel": "news", "data": {}})
    stage.call("publish", {"channel": "nowhere:x", "data": {}})
    counters = stage.node.counters
    assert counters.api_duration["http", "publish"].count == 2
    assert counters.api_errors == {("http", "publish", 102): 1}


def test_shared_errors_keep_nothing_alive() -> None:
    stage = Stage()
    for _ in range(3):
        stage.call("publish", {"channel": "nowhere:x", "data": {}})
        stage.call("broadcast", {"channels": ["nowhere:x"], "data": {}})
    assert ERROR_UNKNOWN_CHANNEL.__traceback__ is None
    assert ERROR_UNKNOWN_CHANNEL.__context__ is None


def test_payloads_do_not_hold_the_body() -> None:
    stage = Stage()
    body = json.dumps({"channel": "news", "data": {"n": 1}, "padding": "x" * 100_000}).encode()
    stage.send("/api/publish", body)
    assert type(stage.node.calls[0][2]) is bytes
