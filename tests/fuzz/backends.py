"""Answers of backends: JSON and Protobuf, for the event that has most."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from centripetal.interfaces import HookError
from centripetal.interfaces.hooks import CONNECT, PUBLISH
from centripetal.model import ClientError, Disconnect
from centripetal.protocol.protobuf_structs import struct_reader
from centripetal.proxies.answers import answer_of, response_type
from centripetal.proxies.grpc_backend import parsed
from centripetal.proxies.http import decode_response
from centripetal.proxies.schema import proxy_pb2 as schema

DOCUMENTED = (HookError, ClientError, Disconnect)
EVENTS = (CONNECT, PUBLISH)
SEEDS: list[bytes] = [
    (b'{"result":{"user":"42","expire_at":1,"info":{"n":1},"b64data":"e30=","channels":["a"],"meta":{},'
    b'"subs":{"b":{"data":1,"override":{"presence":{"value":true},"join_leave":null}}}}}'),
    b'{"result":{"data":{"a":"\\ud83d"},"tags":{"a":"b"},"version":18446744073709551615,"skip_history":true}}',
    b'{"result":null,"error":{"code":1000,"message":"no","temporary":true},"disconnect":{"code":4000,"reason":"out"}}',
]
MESSAGES: list[bytes] = [
    schema.ConnectResponse(
        result=schema.ConnectResult(user="42", info=b"1", channels=["a"], subs={"b": schema.SubscribeOptions(data=b"1")})
    ).SerializeToString(),
    schema.PublishResponse(result=schema.PublishResult(data=b"1", tags={"a": "b"}, version=9)).SerializeToString(),
    schema.PublishResponse(error=schema.Error(code=1000), disconnect=schema.Disconnect(code=4000)).SerializeToString(),
]


def json_feed() -> Callable[[bytes, random.Random], object]:
    """Returns what takes an answer over HTTP."""
    kinds = [(event, response_type(event)) for event in EVENTS]
    decoders = [(event, kind, msgspec.json.Decoder(kind).decode) for event, kind in kinds]

    def feed(data: bytes, chance: random.Random) -> object:
        event, kind, decode = chance.choice(decoders)
        return answer_of(event, decode_response(data, decode, kind))

    return feed


def protobuf_feed() -> Callable[[bytes, random.Random], object]:
    """Returns what takes an answer over gRPC."""
    parsers: list[Any] = [
        (CONNECT, schema.ConnectResponse.FromString, struct_reader(response_type(CONNECT))),
        (PUBLISH, schema.PublishResponse.FromString, struct_reader(response_type(PUBLISH))),
    ]

    def feed(data: bytes, chance: random.Random) -> object:
        event, parse, read = chance.choice(parsers)
        return answer_of(event, read(parsed(data, parse)))

    return feed
