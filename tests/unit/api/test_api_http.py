"""The HTTP side of the server API: paths, keys, bodies, error modes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from api_stage import Stage, answered, error
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from centripetal.interfaces import BrokerError
from centripetal.interfaces.request import HttpRequest, HttpResponse

NEWS = b'{"channel":"news","data":{}}'


@pytest.mark.parametrize(
    ("headers", "query", "allowed"),
    [
        ({"x-api-key": "key"}, "", True),
        ({"x-api-key": "wrong"}, "", False),
        ({"x-api-key": "KEY"}, "", False),
        ({"x-api-key": "k\xe9y"}, "", False),
        ({"x-api-key": "k\u20acy"}, "", False),
        ({"authorization": "apikey key"}, "", True),
        ({"authorization": "ApiKey   key"}, "", True),
        ({"authorization": "apikey wrong"}, "", False),
        ({"authorization": "Bearer key"}, "", False),
        ({"authorization": "apikey"}, "", False),
        ({"authorization": "apikey key more"}, "", False),
        ({"authorization": "key"}, "", False),
        ({"x-api-key": "wrong", "authorization": "apikey key"}, "", False),
        ({"x-api-key": "", "authorization": "apikey key"}, "", True),
        ({"x-api-key": "wrong"}, "api_key=key", True),
        ({}, "a=b&api_key=key", True),
        ({}, "api_key=%6bey", True),
        ({}, "api_key=wrong&api_key=key", False),
        ({}, "api_key=wrong", False),
        ({}, "api_key=", False),
        ({}, "&".join(["a=1"] * 200) + "&api_key=key", False),
        ({}, "", False),
    ],
)
def test_keys(headers: dict[str, str], query: str, allowed: bool) -> None:
    stage = Stage()
    response = stage.send("/api/publish", NEWS, headers, query=query)
    assert (response.status, response.body) == ((200, b'{"result":{}}') if allowed else (401, b""))
    assert len(stage.node.calls) == allowed


def test_keys_beyond_ascii() -> None:
    stage = Stage(key="schlüssel")
    as_bytes = "schlüssel".encode().decode("latin-1")
    assert stage.send("/api/publish", NEWS, {"x-api-key": as_bytes}).status == 200
    assert stage.send("/api/publish", NEWS, {}, query="api_key=schl%C3%BCssel").status == 200


def test_no_key_configured() -> None:
    stage = Stage(key="")
    for headers in ({}, {"x-api-key": ""}, {"x-api-key": "key"}):
        assert stage.send("/api/publish", NEWS, headers, query="api_key=").status == 401


def test_insecure() -> None:
    stage = Stage(key="", insecure=True)
    assert stage.send("/api/publish", NEWS, {}).status == 200
    assert stage.send("/api/publish", NEWS, {"x-api-key": "wrong"}).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_only_post(method: str) -> None:
    for path in ("/api/publish", "/api/batch", "/api"):
        response = Stage().send(path, b"", {}, method=method)
        assert (response.status, response.body, response.headers) == (405, b"", ())


@pytest.mark.parametrize(
    "path", ["/api/publishh", "/api/Publish", "/api/publish/more", "/api/", "/publish", "/", "", "/api/device_list"]
)
def test_unknown_paths(path: str) -> None:
    assert Stage().send(path, NEWS).status == 404


def test_prefixes() -> None:
    stage = Stage(handler_prefix="/server/v1/")
    assert stage.api.prefix == "/server/v1"
    assert stage.send("/server/v1/publish", NEWS).status == 200
    assert stage.send("/api/publish", NEWS).status == 404
    stage = Stage(handler_prefix="/")
    assert stage.api.prefix == "/"
    assert stage.send("/publish", NEWS).status == 200
    assert stage.send("/", b'{"params":%b}' % NEWS).status == 200
    assert {"/", "/batch", "/publish"} <= stage.api.paths


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[]", b"5", b'"text"', b"true", NEWS + b"x", NEWS + NEWS, NEWS + b"]",
        b'{"channel":5}', b'{"channel":"a","data":{},"tags":["x"]}', b'{"channel":"a","data":{},"skip_history":"yes"}',
        b'{"channel":"a","data":{},"version":1.5}', b'{"channel":"a","data":{},"version":-1}',
        b'{"channel":"a","data":{},"tags":{"a":1}}', b'{"channel":"a","data":{,}}', b'{"channel":"a","data":01}',
        b'{"channel":"a","data":"\xff"}', b'{"channel":"\xff","data":1}', b'{"channel":"a","data":1,"\xff":2}',
        b'\xef\xbb\xbf{"channel":"a","data":1}', b'{"channel":"a","data":"\xed\xa0\x80"}',
        b'{"channel":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"channel":"a","x":' + b'{"y":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"channel":"a","data":1,"version":' + b"9" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_bad_bodies(body: bytes) -> None:
    stage = Stage()
    with capture_logs() as logs:
        response = stage.send("/api/publish", body)
    assert (response.status, response.body) == (400, b"Bad Request\n")
    assert ("Content-Type", "text/plain; charset=utf-8") in response.headers
    assert stage.node.calls == []
    assert [entry["event"] for entry in logs] == ["api_body_refused"]
    assert len(logs[0]["reason"]) < 200


@given(st.binary() | st.text().map(str.encode) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["channel", "data", "tags", "commands", "publish", "method", "params", "since", "id"])
        | st.text(), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_body_breaks_it(body: bytes) -> None:
    stage = Stage()
    for path in stage.api.paths:
        response = stage.send(path, body)
        assert response.status in (200, 400)
        if response.status == 200:
            for line in response.body.splitlines():
                assert isinstance(json.loads(line), dict)
    for call in stage.node.calls:
        if call[0] == "publish":
            call[1].encode()
            json.loads(call[2])


@pytest.mark.parametrize(
    ("method", "parameters", "status", "code"),
    [
        ("publish", {"channel": "nowhere:x", "data": {}}, 404, 102),
        ("publish", {"data": {}}, 400, 107),
        ("presence", {"channel": "news"}, 400, 108),
        ("rpc", {"method": "none"}, 404, 104),
        ("history", {"channel": "hist:a", "limit": 1, "since": {"offset": 1, "epoch": "x"}}, 416, 112),
        ("history", {"channel": "hist:a", "since": {}, "reverse": True}, 500, 100),
    ],
)
def test_transport_error_mode(method: str, parameters: Any, status: int, code: int) -> None:
    body = json.dumps(parameters).encode()
    by_header = Stage().send(f"/api/{method}", body, {"x-api-key": "key", "x-centrifugo-error-mode": "transport"})
    by_option = Stage(error_mode="transport").send(f"/api/{method}", body)
    for response in (by_header, by_option):
        assert response.status == status
        assert json.loads(response.body) == error(code)["error"]
        assert ("Content-Type", "application/json") in response.headers
    other = Stage().send(f"/api/{method}", body, {"x-api-key": "key", "x-centrifugo-error-mode": "other"})
    assert (other.status, json.loads(other.body)) == (200, error(code))


def test_transport_error_mode_leaves_inner_errors_inside() -> None:
    stage = Stage(error_mode="transport")
    assert stage.call("broadcast", {"channels": ["nowhere:x"], "data": {}}) == {"result": {"responses": [error(102)]}}
    command = {"publish": {"channel": "nowhere:x", "data": {}}}
    assert stage.call("batch", {"commands": [command]}) == {"replies": [error(102)]}
    assert stage.call("publish", {"channel": "news", "data": {}}) == {"result": {}}


def test_answers_that_need_no_wait_come_without_a_coroutine() -> None:
    stage = Stage()
    response = stage.api.respond(HttpRequest("POST", "/api/publish", "", {}), NEWS)
    assert isinstance(response, HttpResponse) and response.body == b'{"result":{}}'


def test_answers_that_have_to_wait_come_later() -> None:
    stage = Stage()
    stage.node.turns = 3
    response = stage.api.respond(HttpRequest("POST", "/api/publish", "", {}), NEWS)
    assert not isinstance(response, HttpResponse)
    assert asyncio.run(answered(response)).body == b'{"result":{}}'
    assert stage.call("publish", {"channel": "hist:a", "data": {}})["result"]["offset"] == 1
    stage.node.failure = BrokerError("away")
    assert stage.call("publish", {"channel": "news", "data": {}}) == error(100)
    assert stage.call("broadcast", {"channels": ["news"], "data": {}})["result"]["responses"] == [error(100)]
