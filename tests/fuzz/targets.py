"""What is fed with hostile input, each with good input to start from and the exceptions that are documented."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from centripetal.auth.compact import HeaderReader, split_token
from centripetal.auth.issue import sign_connection_token
from centripetal.auth.key_set import KeySetInvalid, parse_key_set, split_key_set
from centripetal.auth.settings import TokenSettings
from centripetal.auth.verifier import JwtVerifier
from centripetal.connection import Client
from centripetal.engines.memory import MemoryBroker, MemoryPresenceManager
from centripetal.fanout.fossil import FossilError, apply_delta, create_delta
from centripetal.fanout.tags_filter import FilterError, compile_filter
from centripetal.interfaces import TokenExpired, TokenInvalid
from centripetal.model import Disconnect
from centripetal.node.node import Node
from centripetal.node.settings import ChannelOptions, ChannelSettings, ClientSettings, NodeOptions
from centripetal.outbound import BadResponse, TooLarge
from centripetal.outbound.decompression import decompress_gzip
from centripetal.protocol.errors import ProtocolError
from centripetal.protocol.framing import NewlineSplitter, VarintSplitter, join_protobuf
from centripetal.protocol.json_codec import JSON
from centripetal.protocol.protobuf_codec import PROTOBUF
from centripetal.protocol.schema import client_pb2
from centripetal.protocol.websocket.deflate import DeflateError, MessageTooBig, inflate, negotiate
from centripetal.protocol.websocket.frames import control_frame
from centripetal.protocol.websocket.handshake import refuse
from centripetal.protocol.websocket.messages import MessageLimits, MessageParser
from centripetal.testing import ManualClock
from centripetal.transports.heads import BadHead, parse_head

from . import backends
from .http2 import Http2Connections, seeds
from .mutation import split


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from outside.

    Attributes:
        name: for the report.
        seeds: good input.
        feed: takes the input; anything but `documented` that it raises is a finding.
        documented: the exceptions that its docstring names.
    """

    name: str
    seeds: list[bytes]
    feed: Callable[[bytes, random.Random], object]
    documented: tuple[type[Exception], ...]


COMMANDS: list[dict[str, Any]] = [
    {"id": 1, "connect": {"token": "x.y.z", "data": {"a": [1, 2.5, None]}, "name": "js", "version": "1", "subs": {"a": {}}}},
    {"id": 2, "subscribe": {"channel": "news", "recover": True, "offset": 5, "epoch": "abc", "delta": "fossil"}},
    {"id": 3, "publish": {"channel": "news", "data": {"text": "é€😀\n\\"}}},
    {"id": 4, "history": {"channel": "news", "limit": 10, "since": {"offset": 1, "epoch": "x"}, "reverse": True}},
    {"id": 5, "presence": {"channel": "news"}},
    {"id": 6, "presence_stats": {"channel": "news"}},
    {"id": 7, "unsubscribe": {"channel": "news"}},
    {"id": 8, "refresh": {"token": "a.b.c"}},
    {"id": 9, "sub_refresh": {"channel": "news", "token": "a.b.c"}},
    {"id": 10, "rpc": {"method": "m", "data": [True]}},
    {"send": {"data": "hello"}},
    {"id": 11, "ping": {}},
    {},
    {
        "id": 12,
        "subscribe": {
            "channel": "other",
            "tf": {"op": "and", "nodes": [{"key": "a", "cmp": "in", "vals": ["x"]}, {"key": "n", "cmp": "gt", "val": "1.5"}]},
        },
    },
]


def _protobuf_seeds() -> list[bytes]:
    Command = client_pb2.Command
    made = [
        Command(id=1, connect=client_pb2.ConnectRequest(token="x.y.z", data=b"{}", name="js")),
        Command(id=2, subscribe=client_pb2.SubscribeRequest(channel="news", recover=True, offset=5, epoch="abc")),
        Command(id=3, publish=client_pb2.PublishRequest(channel="news", data=b'{"a":1}')),
        Command(id=4, history=client_pb2.HistoryRequest(channel="news", limit=10)),
        Command(id=5, presence=client_pb2.PresenceRequest(channel="news")),
        Command(),
    ]
    texts: list[bytes] = [command.SerializeToString() for command in made]
    return [join_protobuf(texts), join_protobuf(texts[1:]), *(join_protobuf([text]) for text in texts)]


def _frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0xFE]) + size.to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def _deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


HEADS = [
    (
        b"GET /connection/websocket?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    ),
    b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n",
    b"POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
]


def _drain(decode: Callable[[bytes], Any]) -> Callable[[bytes, random.Random], object]:
    def feed(data: bytes, chance: random.Random) -> None:
        for _ in decode(data):
            pass

    return feed


def _split_stream(splitter: Callable[[int], Any]) -> Callable[[bytes, random.Random], object]:
    def feed(data: bytes, chance: random.Random) -> None:
        stream = splitter(4000)
        for piece in split(data, chance):
            stream.feed(piece)
            assert stream.pending_bytes <= 4000 + len(piece) + 10

    return feed


def _events(parts: list[bytes]) -> list[tuple[int, bytes]]:
    parser = MessageParser(MessageLimits(message_bytes=4000, inflated_bytes=40_000), compression=True)
    events = []
    for part in parts:
        parser.feed(part)
        while (event := parser.next_event()) is not None:
            events.append(event)
    return events


def _feed_frames(data: bytes, chance: random.Random) -> None:
    whole = _events([data])
    assert _events(split(data, chance)) == whole, "how the bytes are split changes what is read"
    assert sum(len(payload) for _, payload in whole) <= 40_000 * max(len(whole), 1)


def _feed_head(data: bytes, chance: random.Random) -> None:
    head = parse_head(data, 64)
    refuse(head.request.method, head.request.headers)
    negotiate(head.request.headers.get("sec-websocket-extensions", ""))


class FilterText(msgspec.Struct):
    """A filter as it stands in a subscribe command."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: list[str] = []
    nodes: list[FilterText] = []


_filter = msgspec.json.Decoder(FilterText)


def _feed_filter(data: bytes, chance: random.Random) -> None:
    try:
        node = _filter.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    compile_filter(node).matches({"a": "x", "n": "2", "": ""})


SOURCE = b"a line of the text that is there before, number %d\n" * 20
EDITED = SOURCE[:300] + b"something new" + SOURCE[200:700]


def _feed_delta(data: bytes, chance: random.Random) -> None:
    delta = create_delta(SOURCE, data)
    assert apply_delta(SOURCE, delta) == data, "a delta does not give back what it was made from"
    apply_delta(SOURCE, data, max_bytes=100_000)


class Pipe:
    """A transport that forgets what is written to it."""

    name = "pipe"
    emulated = frame_ping_pong = False
    ping_interval_seconds = 25.0
    pong_timeout_seconds = 8.0
    write_timeout_seconds = 1.0

    def __init__(self, encoding: Any) -> None:
        self.encoding = encoding
        self.open = True

    def write(self, data: bytes) -> None:
        pass

    def buffered_bytes(self) -> int:
        return 0

    def send_native_ping(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def close(self, disconnect: Disconnect | None) -> None:
        self.open = False

    def abort(self) -> None:
        self.open = False


class Encoding:
    """A codec without frames."""

    unidirectional = False

    def __init__(self, name: str, codec: Any) -> None:
        self.name = name
        self.codec = codec

    @staticmethod
    def frame(message: bytes) -> bytes:
        return message


ENCODINGS = {"json": Encoding("fuzz-json", JSON), "protobuf": Encoding("fuzz-protobuf", PROTOBUF)}


class Connections:
    """Connections of a node in which everything is allowed, each fed with one input after a good connect."""

    def __init__(self, encoding: str, connect: bytes) -> None:
        self.clock = ManualClock()
        everything = {name: True for name in ChannelOptions.__struct_fields__ if name.startswith("allow_")}
        open_channels = ChannelOptions(
            **everything, presence=True, join_leave=True, history_size=5, history_ttl=60.0, force_recovery=True,
            allowed_delta_types=("fossil",), delta_publish=True,
        )  # fmt: skip
        self.node = Node(
            broker=MemoryBroker(self.clock, history_meta_ttl_seconds=60),
            presence=MemoryPresenceManager(self.clock),
            options=NodeOptions(
                client=ClientSettings(allow_anonymous_connect_without_token=True),
                channel=ChannelSettings(without_namespace=open_channels),
            ),
            clock=self.clock,
        )
        self.encoding = ENCODINGS[encoding]
        self.connect = connect

    def feed(self, data: bytes, chance: random.Random) -> None:
        """One connection's life. Streams expire between lives, so that what is kept stays small."""
        pipe = Pipe(self.encoding)
        client = Client(self.node, pipe)  # type: ignore[arg-type]
        client.receive(self.connect)
        for piece in (data, data[: len(data) // 2]):
            if pipe.open:
                client.receive(piece)
        while self.node.flusher.prompt or self.node.flusher.bulk:
            self.node.flusher.flush()
        client.transport_closed()
        assert not self.node.registry.clients, "a connection that has ended is still registered"


KEYS = {
    "keys": [
        {"kty": "RSA", "kid": "r", "use": "sig", "e": "AQAB", "n": "v" + "Q" * 341, "alg": "RS256", "key_ops": ["verify"]},
        {"kty": "EC", "kid": "e", "use": "sig", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty": "OKP", "kid": "o", "use": "sig", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ]
}  # fmt: skip
SIGNED = "eyJhbGciOiJub25lIn0.e30." + "A" * 86


def _feed_key_set(data: bytes, chance: random.Random) -> None:
    for checks in parse_key_set(data).values():
        for check in checks.values():
            assert not check(split_token(SIGNED, HeaderReader())), "a signature of zeros is right"
    for kid, part in split_key_set(data).items():
        assert list(parse_key_set(part)) == [kid], "a part of a set has another key"


def make_targets() -> list[Target]:
    """Returns all targets. Needs the event loop that the inputs are fed in."""
    asyncio.get_running_loop()
    lines = [msgspec.json.encode(command) for command in COMMANDS]
    protobuf = _protobuf_seeds()
    settings = TokenSettings(hmac_secret_key="a secret for the fuzzing of tokens")
    clock = ManualClock()
    verifier = JwtVerifier(settings, clock=clock)
    unchecked = JwtVerifier(settings, clock=clock, insecure_skip_signature_verify=True)
    tokens = [sign_connection_token(settings, "alice", ttl, clock).encode() for ttl in (-1, 60)]

    def feed_token(data: bytes, chance: random.Random) -> None:
        for each in (verifier, unchecked):
            # Coroutines with static keys never suspend, so one step is all of it.
            try:
                each.verify_connection(data.decode("latin-1")).send(None)
            except StopIteration:
                pass

    connect = msgspec.json.encode({"id": 1, "connect": {}})
    binary_connect = join_protobuf([client_pb2.Command(id=1, connect=client_pb2.ConnectRequest()).SerializeToString()])
    frames = [_frame(1, line) for line in lines[:4]] + [
        _frame(1, b"part", fin=False) + control_frame(9, b"").replace(b"\x00", b"\x80", 1) + _frame(0, b" two"),
        _frame(2, protobuf[0]),
        _frame(1, _deflated(b"compressed " * 300), rsv1=True),
        _frame(8, b"\x03\xe8bye"),
        _frame(9, b"ping"),
    ]
    filters = [msgspec.json.encode(COMMANDS[-1]["subscribe"]["tf"]), b'{"key":"a","cmp":"eq","val":"x"}']
    return [
        Target("JSON commands", [*lines, b"\n".join(lines)], _drain(JSON.decode_commands), (ProtocolError,)),
        Target("Protobuf commands", protobuf, _drain(PROTOBUF.decode_commands), (ProtocolError,)),
        Target("lines of a stream", [b"\n".join(lines) + b"\n"], _split_stream(NewlineSplitter), (ProtocolError,)),
        Target("delimited messages of a stream", protobuf, _split_stream(VarintSplitter), (ProtocolError,)),
        Target("WebSocket frames", [*frames, b"".join(frames)], _feed_frames, ()),
        Target(
            "compressed messages",
            [_deflated(line) for line in lines] + [_deflated(bytes(200_000))],
            lambda data, chance: inflate(data, 40_000),
            (DeflateError, MessageTooBig),
        ),
        Target("HTTP heads", HEADS, _feed_head, (BadHead,)),
        Target("tag filters", filters, _feed_filter, (FilterError,)),
        Target("deltas", [EDITED, create_delta(SOURCE, EDITED), create_delta(SOURCE, b"unlike")], _feed_delta, (FossilError,)),
        Target("tokens", tokens, feed_token, (TokenInvalid, TokenExpired)),
        Target("key sets", [msgspec.json.encode(KEYS)], _feed_key_set, (KeySetInvalid,)),
        Target(
            "compressed answers",
            [gzip.compress(line) for line in lines] + [gzip.compress(bytes(200_000)) + gzip.compress(b"x")],
            lambda data, chance: decompress_gzip(data, 40_000),
            (BadResponse, TooLarge),
        ),
        Target("JSON of backends", backends.SEEDS, backends.json_feed(), backends.DOCUMENTED),
        Target("Protobuf of backends", backends.MESSAGES, backends.protobuf_feed(), backends.DOCUMENTED),
        Target("a JSON connection", [*lines, b"\n".join(lines[1:])], Connections("json", connect).feed, ()),
        Target("an HTTP/2 connection", seeds(), Http2Connections().feed, ()),
        Target("a Protobuf connection", protobuf, Connections("protobuf", binary_connect).feed, ()),
    ]
