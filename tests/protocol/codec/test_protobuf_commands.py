"""Protobuf commands: every request, framing, and how far input may go."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from codec_values import fields
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.protocol.commands import MAX_TRACK_BATCHES, Command
from centripetal.protocol.errors import ProtocolError
from centripetal.protocol.framing import delimit_protobuf, join_protobuf, varint
from centripetal.protocol.protobuf_codec import PROTOBUF
from centripetal.protocol.protobuf_requests import MAX_FILTER_NODES
from centripetal.protocol.schema import client_pb2


def decode(message: bytes) -> list[Command]:
    return list(PROTOBUF.decode_commands(message))


REQUESTS: list[dict[str, Any]] = [
    {"id": 1, "connect": {}},
    {
        "id": 1,
        "connect": {
            "token": "t", "data": b"\x00\xff", "name": "js", "version": "5", "headers": {"x": "y", "z": ""},
            "flag": -1, "profile": "p", "dict": "d",
            "subs": {
                "news": {"recover": True, "epoch": "e", "offset": 2**64 - 1, "delta": "fossil", "flag": 2},
                "other": {},
            },
        },
    },
    {
        "id": 2,
        "subscribe": {
            "channel": "news", "token": "t", "recover": True, "epoch": "e", "offset": 7, "data": b"[1]",
            "positioned": True, "recoverable": True, "join_leave": True, "delta": "fossil",
            "tf": {"op": "and", "nodes": [{"key": "k", "cmp": "in", "vals": ["a", "b"]}, {"key": "k", "val": "v"}]},
            "flag": -(2**63), "type": 4, "phase": 2, "cursor": "c", "limit": -(2**31), "asc": True,
        },
    },
    {"id": 3, "unsubscribe": {"channel": "news"}},
    {"id": 4, "publish": {"channel": "news", "data": b"x", "type": 1, "key": "k", "removed": True}},
    {"id": 5, "presence": {"channel": "news"}},
    {"id": 6, "presence_stats": {"channel": "news"}},
    {"id": 7, "history": {"channel": "news", "limit": -1, "since": {"offset": 5, "epoch": "e"}, "reverse": True}},
    {"id": 7, "history": {"channel": "news", "since": {}}},
    {"id": 8, "ping": {}},
    {"send": {"data": b"1"}},
    {"id": 2**32 - 1, "rpc": {"method": "m", "data": b""}},
    {"id": 9, "refresh": {"token": "t"}},
    {
        "id": 10,
        "sub_refresh": {
            "channel": "c", "token": "t", "type": 1, "untrack": ["k"],
            "track": [{"signature": "s", "items": [{"key": "k", "version": 2**64 - 1}, {}]}],
        },
    },
    {"id": 11, "subscribe": {"channel": "a"}, "publish": {"channel": "b"}},
]  # fmt: skip


def serialize(request: dict[str, Any]) -> bytes:
    message = client_pb2.Command()
    fill(message, request)
    return message.SerializeToString()


def fill(message: Any, values: dict[str, Any]) -> None:
    """Fills a message by reflection, so that nothing of the codec is used."""
    for name, value in values.items():
        if isinstance(value, dict) and name in ("subs", "headers"):
            for key, member in value.items():
                if isinstance(member, dict):
                    fill(message.subs[key], member)
                else:
                    message.headers[key] = member
        elif isinstance(value, dict):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif isinstance(value, list):
            for member in value:
                if isinstance(member, dict):
                    fill(getattr(message, name).add(), member)
                else:
                    getattr(message, name).append(member)
        else:
            setattr(message, name, value)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: next(key for key in request if key != "id"))
def test_every_request(request_: dict[str, Any]) -> None:
    (command,) = decode(delimit_protobuf(serialize(request_)))
    if request_.get("rpc"):
        request_ = {**request_, "rpc": {"method": "m"}}
    assert fields(command) == request_


def test_golden_bytes() -> None:
    message = b"\x12\x08\x07\x3a\x0e\x0a\x04news\x12\x06\x00binry"
    (command,) = decode(message)
    assert fields(command) == {"id": 7, "publish": {"channel": "news", "data": b"\x00binry"}}


def test_pong() -> None:
    assert decode(b"\x00") == [Command()]
    assert decode(b"\x00\x00") == [Command(), Command()]


def test_absent_payload_is_empty() -> None:
    (command,) = decode(delimit_protobuf(serialize({"rpc": {}})))
    assert command.rpc is not None
    assert not command.rpc.data
    assert bytes(command.rpc.data) == b""


def test_unknown_fields_are_ignored() -> None:
    (command,) = decode(delimit_protobuf(b"\x08\x01" + b"\xfa\x3e\x03abc" + b"\x6a\x03\xaa\x06\x00"))
    assert fields(command) == {"id": 1, "rpc": {}}


@pytest.mark.parametrize("size", [1, 100, 127, 128, 200, 16383, 16384, 70_000])
def test_lengths(size: int) -> None:
    body = serialize({"id": 1, "rpc": {"data": b"x" * size}})
    (command,) = decode(delimit_protobuf(body))
    assert command.rpc is not None
    assert bytes(command.rpc.data) == b"x" * size
    assert [each.id for each in decode(join_protobuf([body, body]))] == [1, 1]


def test_commands_before_a_malformed_one_come_out() -> None:
    good = delimit_protobuf(b"\x08\x05")
    for bad in (b"\x05abc", b"\x03abc", b"\x80", b"\xff" * 12):
        commands = iter(PROTOBUF.decode_commands(good + good + bad))
        assert [command.id for command in islice(commands, 2)] == [5, 5]
        with pytest.raises(ProtocolError):
            next(commands)


MALFORMED = [
    b"", b"\x05abc", b"\x03abc", b"\x80", b"\x80\x00\x80", b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02",
    delimit_protobuf(b"\x2a\x04\x0a\x02\xc3\x28"), delimit_protobuf(b"\x22\x06\x32\x04\x0a\x02\xff\xff"),
    delimit_protobuf(b"\x08"), delimit_protobuf(b"\x2a\x05\x0a"), delimit_protobuf(b"\x00\x00"),
    delimit_protobuf(b"\x0c"), b"\x01",
]  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED)
def test_malformed(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(message)


def nested_filter(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = b"\x32" + varint(len(body)) + body
    body = b"\x6a" + varint(len(body)) + body
    return delimit_protobuf(b"\x2a" + varint(len(body)) + body)


def test_nesting_has_a_bound() -> None:
    decode(nested_filter(90))
    for depth in (101, 10_000):
        with pytest.raises(ProtocolError):
            decode(nested_filter(depth))


def test_counts_have_a_bound() -> None:
    def wide_filter(nodes: int) -> bytes:
        return delimit_protobuf(serialize({"subscribe": {"tf": {"nodes": [{}] * nodes}}}))

    decode(wide_filter(MAX_FILTER_NODES - 1))
    with pytest.raises(ProtocolError):
        decode(wide_filter(MAX_FILTER_NODES))
    decode(delimit_protobuf(serialize({"sub_refresh": {"track": [{}] * MAX_TRACK_BATCHES}})))
    with pytest.raises(ProtocolError):
        decode(delimit_protobuf(serialize({"sub_refresh": {"track": [{}] * (MAX_TRACK_BATCHES + 1)}})))


def test_emulation_request() -> None:
    body = ParseDict({"node": "n", "session": "s", "data": "AAE="}, client_pb2.EmulationRequest()).SerializeToString()
    request = PROTOBUF.decode_emulation(body)
    assert fields(request) == {"node": "n", "session": "s", "data": b"\x00\x01"}
    with pytest.raises(ProtocolError):
        PROTOBUF.decode_emulation(b"\x0a")


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_no_bytes_give_another_error(message: bytes) -> None:
    for candidate in (message, delimit_protobuf(message)):
        try:
            decode(candidate)
        except ProtocolError:
            pass


@given(st.sampled_from(REQUESTS), st.data())
@settings(max_examples=200)
def test_no_damage_gives_another_error(request_: dict[str, Any], data: st.DataObject) -> None:
    message = bytearray(serialize(request_))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(message)))
        message[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        decode(delimit_protobuf(bytes(message)))
    except ProtocolError:
        pass
