"""JSON replies and pushes: golden bytes, and everything read back by the json module."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from codec_values import bodies, json_payloads, publications, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.model import ClientError, ClientInfo, Publication
from centripetal.protocol import results
from centripetal.protocol.errors import UnencodableData
from centripetal.protocol.json_codec import JSON

GOLDEN_REPLIES = [
    ("subscribe", results.SubscribeResult(), b'{"id":3,"subscribe":{}}'),
    ("publish", results.PublishResult(), b'{"id":3,"publish":{}}'),
    ("presence", results.PresenceResult(), b'{"id":3,"presence":{"presence":{}}}'),
    (
        "presence",
        results.PresenceResult({"c": ClientInfo(conn_info=b'{"a": 1}')}),
        b'{"id":3,"presence":{"presence":{"c":{"user":"","client":"","conn_info":{"a": 1}}}}}',
    ),
    (
        "presence_stats",
        results.PresenceStatsResult(),
        b'{"id":3,"presence_stats":{"num_clients":0,"num_users":0}}',
    ),
    ("history", results.HistoryResult(), b'{"id":3,"history":{"publications":[],"epoch":"","offset":0}}'),
    (
        "history",
        results.HistoryResult([results.PublicationEntry(Publication(b"1", 1))]),
        b'{"id":3,"history":{"publications":[{"data":1,"offset":1}],"epoch":"","offset":0}}',
    ),
    (
        "connect",
        results.ConnectResult(client="c", version="1", ping=25, pong=True),
        b'{"id":3,"connect":{"client":"c","version":"1","ping":25,"pong":true}}',
    ),
    (
        "connect",
        results.ConnectResult(client="c", data=b"null", subs={"n": results.SubscribeResult(data=b"[]")}, time=5),
        b'{"id":3,"connect":{"client":"c","data":null,"subs":{"n":{"data":[]}},"time":5}}',
    ),
    (
        "subscribe",
        results.SubscribeResult(
            recoverable=True, epoch="e", positioned=True, recovered=True, offset=2**64 - 1, delta=True,
            publications=[
                results.PublicationEntry(Publication(b'{"a": 1}', 1, epoch="e"), fossil=True),
                results.PublicationEntry(Publication(b'{"a": 2}', 2), fossil=True, patch=b"8\nx;"),
            ],
        ),
        (b'{"id":3,"subscribe":{"recoverable":true,"epoch":"e","publications":['
        b'{"data":"{\\"a\\": 1}","offset":1},{"data":"8\\nx;","offset":2,"delta":true}],'
        b'"recovered":true,"offset":18446744073709551615,"positioned":true,"delta":true}}'),
    ),
    ("rpc", results.RpcResult(b"1e999"), b'{"id":3,"rpc":{"data":1e999}}'),
    ("refresh", results.RefreshResult(expires=True, ttl=60), b'{"id":3,"refresh":{"expires":true,"ttl":60}}'),
]  # fmt: skip


@pytest.mark.parametrize(("method", "result", "message"), GOLDEN_REPLIES)
def test_replies(method: str, result: msgspec.Struct, message: bytes) -> None:
    assert JSON.encode_reply(3, method, result) == message


def test_reply_without_id() -> None:
    assert JSON.encode_reply(0, "publish", results.PublishResult()) == b'{"publish":{}}'


def test_zero_values_that_were_computed_are_left_out_too() -> None:
    result = results.SubscribeResult(ttl=int("0"), epoch="ab"[2:], offset=len(""), data=b"ab"[2:], publications=[])
    assert JSON.encode_reply(1, "subscribe", result) == b'{"id":1,"subscribe":{}}'


def test_errors() -> None:
    assert (
        JSON.encode_error(7, ClientError(100, "internal server error", temporary=True))
        == b'{"id":7,"error":{"code":100,"message":"internal server error","temporary":true}}'
    )
    assert JSON.encode_error(0, ClientError(4000, "")) == b'{"error":{"code":4000}}'


GOLDEN_PUSHES = [
    ("join", "news", results.Join(ClientInfo("u", "c")), b'"channel":"news","join":{"info":{"user":"u","client":"c"}}'),
    ("leave", "news", results.Leave(ClientInfo()), b'"channel":"news","leave":{"info":{"user":"","client":""}}'),
    (
        "unsubscribe",
        'a"\n\u00e9',
        results.Unsubscribe(2000, "server unsubscribe"),
        b'"channel":"a\\"\\n\xc3\xa9","unsubscribe":{"code":2000,"reason":"server unsubscribe"}',
    ),
    ("subscribe", "n", results.Subscribe(positioned=True), b'"channel":"n","subscribe":{"positioned":true}'),
    ("message", "", results.Message(b"[1,\n2]\n"), b'"message":{"data":[1,2]}'),
    ("disconnect", "", results.DisconnectPush(3000, "x"), b'"disconnect":{"code":3000,"reason":"x"}'),
    ("refresh", "", results.RefreshPush(), b'"refresh":{}'),
]


@pytest.mark.parametrize(("kind", "channel", "body", "inside"), GOLDEN_PUSHES)
def test_pushes(kind: str, channel: str, body: msgspec.Struct, inside: bytes) -> None:
    assert JSON.encode_push(kind, channel, body, unidirectional=True) == b"{%b}" % inside
    assert JSON.encode_push(kind, channel, body, unidirectional=False) == b'{"push":{%b}}' % inside


FULL = Publication(
    b'{"a":\n"\xc3\xa4"}', 1, ClientInfo("u", "c", b"1", b"2"), {"t": "v"}, "epoch", 4, 5, "real", "k", True, -6, b"prev"
)


def test_publication() -> None:
    assert JSON.encode_publication("news", Publication(b"1", 5), unidirectional=False) == (
        b'{"push":{"channel":"news","pub":{"data":1,"offset":5}}}'
    )
    assert JSON.encode_publication("news", FULL, unidirectional=True) == (
        b'{"channel":"news","pub":{"data":{"a":"\xc3\xa4"},"info":{"user":"u","client":"c","conn_info":1,"chan_info":2}'
        b',"offset":1,"tags":{"t":"v"},"channel":"real","key":"k","removed":true,"score":-6,"epoch":"epoch"'
        b',"version":4}}'
    )
    assert JSON.encode_publication("n", Publication(), unidirectional=True) == b'{"channel":"n","pub":{}}'
    assert JSON.encode_publication("n", Publication(b"null"), unidirectional=True) == (
        b'{"channel":"n","pub":{"data":null}}'
    )


def test_fossil_publication() -> None:
    """Data is a string that holds the very bytes on which patches build, newlines included; there is no epoch."""
    publication = Publication(b'{"a":\n"\xc3\xa4"}', 1, epoch="epoch")
    assert JSON.encode_publication("n", publication, unidirectional=True, fossil=True) == (
        b'{"channel":"n","pub":{"data":"{\\"a\\":\\n\\"\xc3\xa4\\"}","offset":1}}'
    )
    patched = JSON.encode_publication("n", publication, unidirectional=True, fossil=True, patch=b"B\nB@0,1xyz;")
    assert patched == b'{"channel":"n","pub":{"data":"B\\nB@0,1xyz;","offset":1,"delta":true}}'


def test_patch_that_cuts_a_character_is_not_used() -> None:
    full = JSON.encode_publication("n", FULL, unidirectional=True, fossil=True)
    assert JSON.encode_publication("n", FULL, unidirectional=True, fossil=True, patch=b"1:\xa4;") == full


NOT_JSON = [
    b"hello", b"{", b"1 2", b"\xff\x00", b'"\xff"', b'{"a":"\xed\xa0\x80"}', b"NaN", b"'a'", b" ", b"01", b"[" * 60_000,
    b"[" * 513 + b"]" * 513, b'"\x01"', rb'"\ud8"', b"\xef\xbb\xbf1",
]  # fmt: skip


@pytest.mark.parametrize("data", NOT_JSON, ids=lambda data: repr(data[:20]))
def test_payload_that_is_not_json(data: bytes) -> None:
    publication = Publication(data, 1)
    info = ClientInfo("u", "c", chan_info=data)
    for fossil, patch in ((False, None), (True, None), (True, b"x")):
        with pytest.raises(UnencodableData):
            JSON.encode_publication("n", publication, unidirectional=False, fossil=fossil, patch=patch)
    for body in (results.Message(data), results.Join(info), results.Subscribe(data=data)):
        with pytest.raises(UnencodableData):
            JSON.encode_push("x", "n", body, unidirectional=False)
    for result in (
        results.ConnectResult(data=data),
        results.ConnectResult(subs={"n": results.SubscribeResult(data=data)}),
        results.HistoryResult([results.PublicationEntry(publication)]),
        results.PresenceResult({"c": ClientInfo(conn_info=data)}),
        results.RpcResult(data),
    ):
        with pytest.raises(UnencodableData):
            JSON.encode_reply(1, "x", result)


def test_text_that_is_not_unicode() -> None:
    with pytest.raises(UnencodableData):
        JSON.encode_publication("\ud800", Publication(b"1"), unidirectional=False)
    with pytest.raises(UnencodableData):
        JSON.encode_reply(1, "subscribe", results.SubscribeResult(epoch="\ud800"))
    with pytest.raises(UnencodableData):
        JSON.encode_push("unsubscribe", "n", results.Unsubscribe(reason="\ud800"), unidirectional=False)
    with pytest.raises(UnencodableData):
        JSON.encode_error(1, ClientError(400, "\ud800"))


def test_payload_goes_through_untouched() -> None:
    for data in (b"1e999", b"1" * 5000, b"-0", rb'"\ud800\\ \u0041"', b'"\x7f\xe2\x80\xa8"', b"[[], {}]", b"[" * 512 + b"]" * 512):
        assert JSON.encode_push("message", "", results.Message(data), unidirectional=True) == (
            b'{"message":{"data":%b}}' % data
        )


def expected(value: Any) -> Any:
    """The plain value that a body must be read back as, by the rules of the schema."""
    always = {
        ClientInfo: {"user", "client"},
        results.PresenceResult: {"presence"},
        results.PresenceStatsResult: {"num_clients", "num_users"},
        results.HistoryResult: {"publications", "epoch", "offset"},
    }.get(type(value), set())
    if isinstance(value, results.PublicationEntry):
        return expected(value.publication)
    if isinstance(value, bytes):
        return json.loads(value)
    if isinstance(value, dict):
        return {name: expected(member) for name, member in value.items()}
    if isinstance(value, list):
        return [expected(member) for member in value]
    if isinstance(value, msgspec.Struct):
        named = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: expected(field) for name, field in named.items() if field or name in always}
    return value


@given(bodies(json_payloads), texts, booleans := st.booleans())
@settings(max_examples=200)
def test_everything_reads_back(body: tuple[str, str, msgspec.Struct], channel: str, unidirectional: bool) -> None:
    form, name, value = body
    if form == "reply":
        message = JSON.encode_reply(5, name, value)
        wanted: Any = {"id": 5, name: expected(value)}
    else:
        message = JSON.encode_push(name, channel, value, unidirectional=unidirectional)
        wanted = ({"channel": channel} if channel else {}) | {name: expected(value)}
        wanted = wanted if unidirectional else {"push": wanted}
    assert json.loads(message.decode()) == wanted
    assert b"\n" not in message


@given(publications(json_payloads), texts, booleans, booleans, st.none() | texts)
def test_publications_read_back(
    publication: Publication, channel: str, unidirectional: bool, fossil: bool, patch: str | None
) -> None:
    message = JSON.encode_publication(
        channel, publication, unidirectional=unidirectional, fossil=fossil, patch=patch.encode() if patch else None
    )
    read = json.loads(message.decode())
    push = read if unidirectional else read["push"]
    wanted = expected(publication)
    if fossil:
        wanted.pop("epoch", None)
        if patch:
            wanted |= {"data": patch, "delta": True}
        elif publication.data:
            wanted["data"] = publication.data.decode()
    assert push == ({"channel": channel} if channel else {}) | {"pub": wanted}
    assert b"\n" not in message
