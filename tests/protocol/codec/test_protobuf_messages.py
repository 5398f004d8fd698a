"""Protobuf replies and pushes: golden bytes, and everything read back by the protobuf library."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from codec_values import bodies, fields, publications, texts
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.model import ClientError, ClientInfo, Publication
from centripetal.protocol import results
from centripetal.protocol.errors import UnencodableData
from centripetal.protocol.protobuf_codec import PROTOBUF
from centripetal.protocol.schema import client_pb2

payloads = st.binary(max_size=200)


def plain(message: Message) -> dict[str, Any]:
    """A parsed message as plain objects, read by reflection."""
    return {descriptor.name: plain_value(value) for descriptor, value in message.ListFields()}


def plain_value(value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if hasattr(value, "items"):
        return {name: plain_value(member) for name, member in value.items()}
    if isinstance(value, str | bytes | int):
        return value
    return [plain_value(member) for member in value]


def on_the_wire(publication: Publication) -> dict[str, Any]:
    return {name: value for name, value in fields(publication).items() if name not in ("time_ms", "prev_data")}


def test_golden_bytes() -> None:
    assert PROTOBUF.encode_reply(3, "publish", results.PublishResult()) == b"\x08\x03\x42\x00"
    assert PROTOBUF.encode_reply(300, "subscribe", results.SubscribeResult(ttl=300)) == b"\x08\xac\x02\x32\x03\x10\xac\x02"
    assert PROTOBUF.encode_error(7, ClientError(100, "x", temporary=True)) == b"\x08\x07\x12\x07\x08\x64\x12\x01x\x18\x01"
    assert PROTOBUF.encode_push("refresh", "", results.RefreshPush(), unidirectional=False) == b"\x22\x02\x62\x00"
    assert PROTOBUF.encode_push("message", "", results.Message(b"\n"), unidirectional=True) == b"\x42\x03\x0a\x01\n"
    publication = Publication(b"\x00\xff", 300)
    push = b"\x12\x04news\x22\x07\x22\x02\x00\xff\x30\xac\x02"
    assert PROTOBUF.encode_publication("news", publication, unidirectional=True) == push
    assert PROTOBUF.encode_publication("news", publication, unidirectional=False) == b"\x22\x0f" + push


def test_every_publication_field() -> None:
    publication = Publication(
        b"d", 2**64 - 1, ClientInfo("u", "c", b"1", b"2"), {"t": "v", "": ""}, "e", 4, 5, "real", "k", True, -6, b"prev"
    )
    push = client_pb2.Push.FromString(PROTOBUF.encode_publication("n", publication, unidirectional=True))
    assert plain(push) == {
        "channel": "n",
        "pub": {
            "data": b"d", "info": {"user": "u", "client": "c", "conn_info": b"1", "chan_info": b"2"},
            "offset": 2**64 - 1, "tags": {"t": "v", "": ""}, "channel": "real", "key": "k", "removed": True,
            "score": -6, "epoch": "e", "version": 4,
        },
    }  # fmt: skip


def test_large_publication() -> None:
    data = bytes(100_000)
    push = client_pb2.Push.FromString(PROTOBUF.encode_publication("n", Publication(data), unidirectional=True))
    assert push.pub.data == data


def test_fossil_publication() -> None:
    publication = Publication(b"full", 1, epoch="e")
    plain_form = PROTOBUF.encode_publication("n", publication, unidirectional=True)
    assert PROTOBUF.encode_publication("n", publication, unidirectional=True, fossil=True) == plain_form
    assert PROTOBUF.encode_publication("n", publication, unidirectional=True, patch=b"x") == plain_form
    patched = PROTOBUF.encode_publication("n", publication, unidirectional=True, fossil=True, patch=b"\xff")
    assert plain(client_pb2.Push.FromString(patched)) == {
        "channel": "n",
        "pub": {"data": b"\xff", "offset": 1, "delta": True, "epoch": "e"},
    }


def test_text_that_is_not_unicode() -> None:
    with pytest.raises(UnencodableData):
        PROTOBUF.encode_publication("\ud800", Publication(b"1"), unidirectional=False)
    with pytest.raises(UnencodableData):
        PROTOBUF.encode_reply(1, "subscribe", results.SubscribeResult(epoch="\ud800"))
    with pytest.raises(UnencodableData):
        PROTOBUF.encode_push("unsubscribe", "n", results.Unsubscribe(reason="\ud800"), unidirectional=False)
    with pytest.raises(UnencodableData):
        PROTOBUF.encode_error(1, ClientError(400, "\ud800"))


def without_unsent(value: Any) -> Any:
    """What stays of the fields of a result or push body on the wire."""
    if isinstance(value, results.PublicationEntry):
        return on_the_wire(value.publication)
    if isinstance(value, dict):
        return {name: without_unsent(member) for name, member in value.items()}
    if isinstance(value, list):
        return [without_unsent(member) for member in value]
    if isinstance(value, msgspec.Struct):
        named = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: without_unsent(member) for name, member in named.items() if member}
    return value


@given(bodies(payloads), texts, st.booleans(), st.sampled_from((0, 1, 2**32 - 1)))
@settings(max_examples=200)
def test_everything_reads_back(
    body: tuple[str, str, msgspec.Struct], channel: str, unidirectional: bool, command_id: int
) -> None:
    form, name, value = body
    wanted: dict[str, Any] = {name: without_unsent(value)}
    if form == "reply":
        message: Message = client_pb2.Reply.FromString(PROTOBUF.encode_reply(command_id, name, value))
        wanted |= {"id": command_id} if command_id else {}
    else:
        encoded = PROTOBUF.encode_push(name, channel, value, unidirectional=unidirectional)
        message = (client_pb2.Push if unidirectional else client_pb2.Reply).FromString(encoded)
        wanted |= {"channel": channel} if channel else {}
        wanted = wanted if unidirectional else {"push": wanted}
    assert plain(message) == wanted


@given(publications(payloads), texts, st.booleans())
def test_publications_read_back(publication: Publication, channel: str, unidirectional: bool) -> None:
    encoded = PROTOBUF.encode_publication(channel, publication, unidirectional=unidirectional)
    push = client_pb2.Push.FromString(encoded) if unidirectional else client_pb2.Reply.FromString(encoded).push
    assert plain(push) == ({"channel": channel} if channel else {}) | {"pub": on_the_wire(publication)}
