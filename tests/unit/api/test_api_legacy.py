"""The legacy endpoint: several commands in one body, names and numbers of methods."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_stage import Stage, error
from hypothesis import given
from hypothesis import strategies as st

from centripetal.api.legacy import split_values
from centripetal.model import Publication

PARAMS = '"params":{"channel":"hist:a","data":1}'


def _lines(stage: Stage, body: str) -> list[Any]:
    response = stage.send("/api", body.encode(), {"x-api-key": "key", "x-centrifugo-error-mode": "transport"})
    assert response.status == 200
    return [json.loads(line) for line in response.body.split(b"\n")]


def _ok(offset: int, **more: Any) -> dict[str, Any]:
    return {"result": {"offset": offset, "epoch": "epoch"}, **more}


@pytest.mark.parametrize("separator", ["", "\n", " \r\n\t", "\n\n"])
def test_many_commands(separator: str) -> None:
    body = separator.join(f'{{"id":{number},"method":"publish",{PARAMS}}}' for number in (1, 2, 3))
    assert _lines(Stage(), body + separator) == [_ok(number, id=number) for number in (1, 2, 3)]


@pytest.mark.parametrize("method", ['"method":"PUBLISH",', '"method":"Publish",', '"method":0,', "", '"id":null,'])
def test_publish_by_any_name(method: str) -> None:
    assert _lines(Stage(), f"{{{method}{PARAMS}}}") == [_ok(1)]


def test_numbers() -> None:
    stage = Stage()
    numbers = {1: "broadcast", 2: "unsubscribe", 3: "disconnect", 9: "info", 8: "channels", 12: "refresh"}
    for number in numbers:
        assert "result" in _lines(stage, f'{{"method":{number},"params":{{"channels":["a"],"data":1}}}}')[0]
    assert [call[0] for call in stage.node.calls] == [
        "publish", "unsubscribe_user", "disconnect_user", "info", "channels", "refresh_user",
    ]  # fmt: skip
    assert _lines(stage, '{"method":9}')[0]["result"]["nodes"]


@pytest.mark.parametrize("method", ["1300", "-1", "13", "14", "40", '"connections"', '"DEVICE_LIST"'])
def test_methods_that_are_not_there(method: str) -> None:
    assert _lines(Stage(), f'{{"method":{method},"params":{{}}}}') == [error(104)]


@pytest.mark.parametrize(
    "body",
    [
        '{"method":"publish","params":{"channel":1}}',
        '{"method":"publish"}',
        '{"method":"publish","params":[]}',
        '{"method":"publish","params":null}',
        "null",
    ],
)
def test_bad_parameters_are_an_error_of_the_command(body: str) -> None:
    assert _lines(Stage(), body) == [error(107)]


@pytest.mark.parametrize(
    "body",
    [
        b"", b'{"method"', b'{"method":"nonsense"}', b'{"method":"0"}', b'{"method":null}', b'{"method":1.0}',
        b'{"method":[]}', b'{"id":-1}', b'{"id":4294967296}', b'{"id":"1"}', b"[]", b"5", b'"text"', b"\xff",
        b'{"method":NaN}', b"[" * 100_000, b'{"params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_bad_bodies(body: bytes) -> None:
    response = Stage().send("/api", body)
    assert (response.status, response.body) == (400, b"Bad Request\n")


def test_commands_before_garbage_have_run() -> None:
    stage = Stage()
    assert stage.send("/api", b"{%b}garbage" % PARAMS.encode()).status == 400
    assert [call[0] for call in stage.node.calls] == ["publish"]


def test_a_result_that_is_no_json() -> None:
    stage = Stage()
    stage.node.streams["hist:a"] = [Publication(b"\xff", 1)]
    response = stage.send("/api", b'{"method":"history","params":{"channel":"hist:a","limit":1}}')
    assert (response.status, response.body) == (500, b"Internal Server Error\n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.dictionaries(st.text(), JSON, max_size=3), st.sampled_from(["", " ", "\n", "\r\n\t"]))))
def test_values_are_split_where_they_end(values: list[tuple[dict[str, Any], str]]) -> None:
    text = "".join(json.dumps(value, ensure_ascii=False) + space for value, space in values)
    assert [json.loads(part) for part in split_values(text)] == [value for value, _ in values]
