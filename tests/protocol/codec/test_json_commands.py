"""JSON commands: every request, what is allowed, what is malformed, and how far input may go."""

from __future__ import annotations

import json
import re
from itertools import islice

import pytest
from codec_values import fields, json_values, texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from centripetal.protocol.commands import Command, ConnectRequest
from centripetal.protocol.errors import ProtocolError
from centripetal.protocol.json_codec import JSON
from centripetal.protocol.json_text import MAX_DEPTH


def decode(message: bytes) -> list[Command]:
    return list(JSON.decode_commands(message))


def decode_one(message: bytes) -> object:
    (command,) = decode(message)
    return fields(command)


REQUESTS = [
    {"id": 1, "connect": {}},
    {
        "id": 1,
        "connect": {
            "token": "t", "data": {"a": 1}, "name": "js", "version": "5", "headers": {"x": "y"}, "flag": -1,
            "profile": "p", "dict": "d",
            "subs": {"news": {"recover": True, "epoch": "e", "offset": 18446744073709551615}},
        },
    },
    {
        "id": 2,
        "subscribe": {
            "channel": "news", "token": "t", "recover": True, "epoch": "e", "offset": 7, "data": [1],
            "positioned": True, "recoverable": True, "join_leave": True, "delta": "fossil",
            "tf": {"op": "and", "nodes": [{"key": "k", "cmp": "in", "vals": ["a", "b"]}, {"key": "k", "val": "v"}]},
            "flag": 3, "type": 4, "phase": 2, "cursor": "c", "limit": -2147483648, "asc": True,
        },
    },
    {"id": 3, "unsubscribe": {"channel": "news"}},
    {"id": 4, "publish": {"channel": "news", "data": "x", "type": 1, "key": "k", "removed": True}},
    {"id": 5, "presence": {"channel": "news"}},
    {"id": 6, "presence_stats": {"channel": "news"}},
    {"id": 7, "history": {"channel": "news", "limit": -1, "since": {"offset": 5, "epoch": "e"}, "reverse": True}},
    {"id": 7, "history": {"channel": "news", "since": {}}},
    {"id": 8, "ping": {}},
    {"send": {"data": 1}},
    {"id": 4294967295, "rpc": {"method": "m", "data": None}},
    {"id": 9, "refresh": {"token": "t"}},
    {
        "id": 10,
        "sub_refresh": {
            "channel": "c", "token": "t", "type": 1, "untrack": ["k"],
            "track": [{"signature": "s", "items": [{"key": "k", "version": 18446744073709551615}]}],
        },
    },
]


def payloads_as_bytes(request: object) -> object:
    if isinstance(request, dict):
        return {
            name: json.dumps(value).encode() if name == "data" else payloads_as_bytes(value)
            for name, value in request.items()
        }
    return [payloads_as_bytes(member) for member in request] if isinstance(request, list) else request


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: next(key for key in request if key != "id"))
def test_every_request(request_: dict[str, object]) -> None:
    assert decode_one(json.dumps(request_).encode()) == payloads_as_bytes(request_)


def test_payload_is_untouched() -> None:
    for payload in (b"1e999", b"-0", b"1" * 5000, b'"\\u0041"', b"[ 1,\t2 ]", b'"\xe2\x80\xa8"', b"null", b"false"):
        assert decode_one(b'{"id":1,"rpc":{"data": %b }}' % payload) == {"id": 1, "rpc": {"data": payload}}


def test_absent_payload_is_empty() -> None:
    (command,) = decode(b'{"publish":{}}')
    assert command.publish is not None
    assert not command.publish.data
    assert bytes(command.publish.data) == b""


def test_pong() -> None:
    assert decode(b"{}") == [Command()]


def test_white_space_and_escapes() -> None:
    assert decode_one(b'  { "id" : 2 ,\t"subscribe" : { "channel" : "\\u006eews" } }\r  ') == {
        "id": 2,
        "subscribe": {"channel": "news"},
    }


def test_unknown_fields_are_ignored() -> None:
    assert decode_one(b'{"id":1,"shout":{"a":[1]},"rpc":{"x":null}}') == {"id": 1, "rpc": {}}


def test_null_is_absent() -> None:
    message = (
        b'{"id":1,"publish":null,"connect":{"token":null,"data":null,"headers":{"a":null},"subs":'
        b'{"a":null,"b":{"offset":null,"recover":null,"tf":{"vals":[null,"x"],"nodes":[null,{"op":"or"}]}}}}}'
    )
    assert decode_one(message) == {
        "id": 1,
        "connect": {
            "data": b"null",
            "headers": {"a": ""},
            "subs": {"a": {}, "b": {"tf": {"vals": ["", "x"], "nodes": [{}, {"op": "or"}]}}},
        },
    }
    assert decode_one(b'{"id":null,"history":{"since":null,"channel":"c"}}') == {"history": {"channel": "c"}}


def test_half_of_a_surrogate_pair() -> None:
    """JavaScript sends one when it cuts a string between surrogates; UTF-8 has no form for it."""
    message = rb'{"id":1,"publish":{"channel":"\ud83d\ude00\ud83d","data":{"\udc00":"\\ud800\ud800"}}}'
    assert decode_one(message) == {
        "id": 1,
        "publish": {"channel": "\U0001f600\ufffd", "data": rb'{"\ufffd":"\\ud800\ufffd"}'},
    }
    assert decode_one(rb'{"id":null,"rpc":{"method":"\ud800"}}') == {"rpc": {"method": "\ufffd"}}


MALFORMED = [
    b"", b"hello", b"{", b"null", b"17", b'[{"id":2,"rpc":{}}]', b"{} {}", b'{"id":1}x', b'{"id":-1,"rpc":{}}',
    b'{"id":4294967296}', b'{"id":1.0}', b'{"id":"1"}', b'{"id":true}', b'{"id":1,"rpc":[]}', b'{"id":1,"rpc":"x"}',
    b'{"id":2,"subscribe":{"channel":17}}', b'{"subscribe":{"offset":18446744073709551616}}',
    b'{"subscribe":{"offset":-1}}', b'{"subscribe":{"recover":1}}', b'{"subscribe":{"type":2147483648}}',
    b'{"subscribe":{"flag":9223372036854775808}}', b'{"subscribe":{"tf":{"vals":[1]}}}', b'{"subscribe":{"tf":[]}}',
    b'{"history":{"since":{"offset":18446744073709551616}}}', b'{"connect":{"subs":[]}}',
    b'{"connect":{"headers":{"a":1}}}', b'{"sub_refresh":{"track":[{"items":[{"version":18446744073709551616}]}]}}',
    b'{"sub_refresh":{"track":[' + b",".join([b"{}"] * 1001) + b"]}}",
    b'{"rpc":{"data":01}}', b'{"rpc":{"data":NaN}}', b'{"rpc":{"data":}}', b'{"rpc":{"data":{"a":1,}}}',
    b'{"rpc":{"data":"\xff"}}', b'{"rpc":{"method":"\xed\xa0\x80"}}', b'{"\xff":1}', b'\xef\xbb\xbf{}',
    b'{"id":' + b"9" * 5000 + b"}", b'{"id":1e5}', b'{"rpc":{"data":"\x00"}}', b'{"a":null,"id":"x"}',
    b'{"a":null,"rpc":', rb'{"rpc":{"data":"\ud8"}}',
]  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED, ids=lambda message: repr(message[:40]))
def test_malformed(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(message)


def test_several_commands() -> None:
    assert [command.id for command in decode(b'{"id":1}\n{"id":2}')] == [1, 2]
    assert [command.id for command in decode(b'{"id":1}\n{"id":2}\n')] == [1, 2]
    assert [command.id for command in decode(b'{"id":1}\n')] == [1]


@pytest.mark.parametrize("message", [b"\n", b"{}\n\n", b"\n{}", b"{}\n\n{}", b"{}\n \n{}", b'{\n"id":1}'])
def test_empty_lines(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(message)


def test_commands_before_a_malformed_one_come_out() -> None:
    commands = iter(JSON.decode_commands(b'{"id":1}\n{"id":2}\n{"id":3'))
    assert [command.id for command in islice(commands, 2)] == [1, 2]
    with pytest.raises(ProtocolError):
        next(commands)


def test_nesting_has_a_bound() -> None:
    def nested(depth: int) -> bytes:
        return b'{"rpc":{"data":%b%b}}' % (b"[" * depth, b"]" * depth)

    decode(nested(MAX_DEPTH - 2))
    for depth in (MAX_DEPTH - 1, 60_000):
        with pytest.raises(ProtocolError):
            decode(nested(depth))
    for message in (b"[" * 60_000, b'{"a":' * 60_000, b"[" * 600 + b'"' + b'\\"' * 30_000):
        with pytest.raises(ProtocolError):
            decode(message)


def test_brackets_in_strings_do_not_nest() -> None:
    payload = b'"' + b'[{\\"\\\\' * 5000 + b'"'
    assert decode_one(b'{"rpc":{"data":%b}}' % payload) == {"rpc": {"data": payload}}
    assert decode_one(b'{"rpc":{"data":[%b]}}' % b",".join([b"[]"] * 5000))


@pytest.mark.parametrize("extra", [b"", b',"token":null', b',"token":"\\ud800"'])
def test_filter_nesting_has_a_bound(extra: bytes) -> None:
    message = b'{"subscribe":{"tf":%b%b%b}}' % (b'{"nodes":[' * 10_000, b"]}" * 10_000, extra)
    with pytest.raises(ProtocolError):
        decode(message)


def test_connect_of_unidirectional_transports() -> None:
    assert fields(JSON.decode_connect(b'{"token":"t","subs":{"a":{}},"data":null}')) == {
        "token": "t",
        "subs": {"a": {}},
        "data": b"null",
    }
    assert JSON.decode_connect(b"{}") == ConnectRequest()
    with pytest.raises(ProtocolError):
        JSON.decode_connect(b"")


def test_emulation_request() -> None:
    request = JSON.decode_emulation(rb'{"session":"s","node":"n","data":"{\"id\":1}\n{\"id\":2}"}')
    assert fields(request) == {"session": "s", "node": "n", "data": b'{"id":1}\n{"id":2}'}
    assert fields(JSON.decode_emulation(b'{"session":null}')) == {}
    for body in (b"", b"[]", b'{"data":{}}', b'{"session":1}'):
        with pytest.raises(ProtocolError):
            JSON.decode_emulation(body)


names = st.sampled_from(("id", "connect", "subscribe", "publish", "rpc", "data", "tf", "nodes", "subs", "offset", "x"))
shapes = st.recursive(json_values, lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=8)


@given(shapes)
def test_no_value_gives_another_error(shape: object) -> None:
    try:
        decode(json.dumps(shape).encode())
    except ProtocolError:
        pass


@given(st.sampled_from(REQUESTS), st.data())
@settings(max_examples=200)
def test_no_damage_gives_another_error(request_: dict[str, object], data: st.DataObject) -> None:
    message = bytearray(json.dumps(request_).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(message)))
        message[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3) | st.sampled_from((b"null", b"\n", b'\\ud800"', b"[", b"1e999", b'"'))
        )
    try:
        decode(bytes(message))
    except ProtocolError:
        pass


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), texts, json_values), min_size=1, max_size=4), st.booleans())
@example([(0, "\n\u2028", "\ud7ff")], True)
def test_publishes_come_out_as_they_went_in(requests: list[tuple[int, str, object]], final: bool) -> None:
    lines = [
        json.dumps({"id": number, "publish": {"channel": channel, "data": value}}, ensure_ascii=number % 2 == 0)
        for number, channel, value in requests
    ]
    commands = decode(("\n".join(lines) + "\n" * final).encode())
    read = [(each.id, each.publish.channel, json.loads(bytes(each.publish.data))) for each in commands if each.publish]
    assert read == requests
    assert not any(re.search(rb"\n", bytes(each.publish.data)) for each in commands if each.publish)
