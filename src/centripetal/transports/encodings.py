"""The shared encodings of transports: codec and frame around it (see interfaces.transport.Encoding)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..interfaces.transport import Encoding
from ..model import Disconnect
from ..protocol.errors import UnencodableData
from ..protocol.framing import delimit_json, delimit_protobuf, frame_event
from ..protocol.json_codec import JSON, JsonCodec
from ..protocol.protobuf_codec import PROTOBUF, ProtobufCodec
from ..protocol.results import DisconnectPush
from ..protocol.websocket import BINARY, TEXT, Deflater, binary_frame, compressed_frame, text_frame

Codec = JsonCodec | ProtobufCodec


class FramedEncoding:
    """One way in which messages look on a transport; compared by identity.

    Attributes:
        name: for logs and metrics.
        codec: the shared codec.
        unidirectional: pushes go out bare.
        frame: makes a message what is written.
    """

    __slots__ = ("codec", "frame", "name", "unidirectional")

    def __init__(self, name: str, codec: Codec, frame: Callable[[bytes], bytes], unidirectional: bool = False) -> None:
        self.name = name
        self.codec: object = codec
        self.frame = frame
        self.unidirectional = unidirectional

    def __repr__(self) -> str:
        return f"<{self.name}>"


def length_prefixed(message: bytes) -> bytes:
    """Puts the unsigned varint length before a Protobuf message."""
    size = len(message)
    if size < 128:
        return bytes((size,)) + message
    prefix = bytearray()
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + message


def protobuf_frame(message: bytes) -> bytes:
    """Makes a Protobuf message one WebSocket frame."""
    return binary_frame(length_prefixed(message))


WEBSOCKET_JSON = FramedEncoding("websocket-json", JSON, text_frame)
WEBSOCKET_PROTOBUF = FramedEncoding("websocket-protobuf", PROTOBUF, protobuf_frame)
UNI_WEBSOCKET_JSON = FramedEncoding("uni_websocket-json", JSON, text_frame, unidirectional=True)
UNI_WEBSOCKET_JOINED = FramedEncoding("uni_websocket-json-joined", JSON, delimit_json, unidirectional=True)
"""Messages of which the connection makes a frame when it writes them (`uni_websocket.join_push_messages`)."""


def chunk(data: bytes) -> bytes:
    """Makes data a chunk of an HTTP/1.1 body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


class StreamEncodings:
    """How messages look in a streamed response.

    Attributes:
        chunked: in chunks, for HTTP/1.1.
        plain: for HTTP/1.0, where the end of the connection ends the body, and from HTTP/2 on, which frames bodies itself.
    """

    __slots__ = ("chunked", "plain")

    def __init__(self, name: str, codec: Codec, frame: Callable[[bytes], bytes], unidirectional: bool = False) -> None:
        def chunked_frame(message: bytes) -> bytes:
            return chunk(frame(message))

        self.chunked = FramedEncoding(name, codec, chunked_frame, unidirectional)
        self.plain = FramedEncoding(f"{name}-plain", codec, frame, unidirectional)


SSE_JSON = StreamEncodings("sse-json", JSON, frame_event)
HTTP_STREAM_JSON = StreamEncodings("http_stream-json", JSON, delimit_json)
HTTP_STREAM_PROTOBUF = StreamEncodings("http_stream-protobuf", PROTOBUF, delimit_protobuf)
UNI_SSE_JSON = StreamEncodings("uni_sse-json", JSON, frame_event, unidirectional=True)
UNI_HTTP_STREAM_JSON = StreamEncodings("uni_http_stream-json", JSON, delimit_json, unidirectional=True)


@lru_cache(maxsize=256)
def deflate_encoding(
    protobuf: bool, level: int, min_size: int, window_bits: int, unidirectional: bool = False
) -> FramedEncoding:
    """Returns the shared encoding of a WebSocket with permessage-deflate.

    Args:
        protobuf: Protobuf, or else JSON.
        level: `websocket.compression_level`.
        min_size: `websocket.compression_min_size`, smaller messages go out as they are.
        window_bits: of the Deflater, as negotiated.
        unidirectional: for `uni_websocket`.
    """
    deflate = Deflater(level, window_bits).deflate

    if protobuf:

        def frame(message: bytes) -> bytes:
            message = length_prefixed(message)
            if len(message) < min_size:
                return binary_frame(message)
            deflated = deflate(message)
            return compressed_frame(BINARY, deflated) if len(deflated) < len(message) else binary_frame(message)
    else:

        def frame(message: bytes) -> bytes:
            if len(message) < min_size:
                return text_frame(message)
            deflated = deflate(message)
            return compressed_frame(TEXT, deflated) if len(deflated) < len(message) else text_frame(message)

    codec: Codec = PROTOBUF if protobuf else JSON
    name = f"{'uni_' if unidirectional else ''}websocket-{'protobuf' if protobuf else 'json'}-deflate"
    return FramedEncoding(name, codec, frame, unidirectional)


def disconnect_push(encoding: Encoding, disconnect: Disconnect) -> bytes | None:
    """Returns the push that tells of a disconnect, without framing; None if its reason cannot be encoded."""
    push = DisconnectPush(code=disconnect.code, reason=disconnect.reason)
    codec: Any = encoding.codec
    try:
        message: bytes = codec.encode_push("disconnect", "", push, unidirectional=encoding.unidirectional)
    except UnencodableData:
        return None
    return message
