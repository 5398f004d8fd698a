"""Structs made of Protobuf messages."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from centripetal.api.grpc.schema import api_pb2
from centripetal.protocol.protobuf_structs import struct_reader


class Publish(msgspec.Struct):
    """Some of the fields of `PublishRequest`."""

    channel: str = ""
    data: Raw = Raw(b"none")
    tags: dict[str, str] | None = None
    skip_history: bool = False


class Broadcast(msgspec.Struct):
    """Of `BroadcastRequest`, with another kind of sequence."""

    channels: tuple[str, ...] = ()


class Batch(msgspec.Struct):
    """Of `BatchRequest`, with structs in a list."""

    commands: list[Command] = []


class Command(msgspec.Struct):
    """Of `Command`: a message of which only the presence counts, and one that is read."""

    publish: Publish | None = None
    presence: dict[str, Raw] | None = None


def test_fields_become_what_the_struct_has_for_them() -> None:
    message = api_pb2.PublishRequest(channel="a", data=b'{"b":1}', tags={"c": "d"}, b64data="not in the struct")
    assert struct_reader(Publish)(message) == Publish("a", Raw(b'{"b":1}'), {"c": "d"})


def test_fields_that_are_not_set_keep_the_defaults_of_the_struct() -> None:
    assert struct_reader(Publish)(api_pb2.PublishRequest()) == Publish()


def test_sequences() -> None:
    assert struct_reader(Broadcast)(api_pb2.BroadcastRequest(channels=["a", "b"])) == Broadcast(("a", "b"))


def test_messages_in_messages() -> None:
    command = api_pb2.Command(publish=api_pb2.PublishRequest(channel="a"), presence=api_pb2.PresenceRequest(channel="b"))
    batch = struct_reader(Batch)(api_pb2.BatchRequest(commands=[command]))
    assert batch == Batch([Command(Publish("a"), {})])
