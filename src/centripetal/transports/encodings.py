"""The shared encodings of WebSocket connections: codec and frame around it (see interfaces.transport.Encoding)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..protocol.json_codec import JSON, JsonCodec
from ..protocol.protobuf_codec import PROTOBUF, ProtobufCodec
from ..protocol.websocket import BINARY, TEXT, Deflater, binary_frame, compressed_frame, text_frame

Codec = JsonCodec | ProtobufCodec


class WebSocketEncoding:
    """One way in which messages look on a WebSocket; compared by identity.

    Attributes:
        name: for logs and metrics.
        codec: the shared codec.
        unidirectional: pushes go out bare.
        frame: makes a message one WebSocket frame.
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


WEBSOCKET_JSON = WebSocketEncoding("websocket-json", JSON, text_frame)
WEBSOCKET_PROTOBUF = WebSocketEncoding("websocket-protobuf", PROTOBUF, protobuf_frame)


@lru_cache(maxsize=256)
def deflate_encoding(protobuf: bool, level: int, min_size: int, window_bits: int) -> WebSocketEncoding:
    """Returns the shared encoding with permessage-deflate.

    Args:
        protobuf: Protobuf, or else JSON.
        level: `websocket.compression_level`.
        min_size: `websocket.compression_min_size`, smaller messages go out as they are.
        window_bits: of the Deflater, as negotiated.
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
    return WebSocketEncoding(f"websocket-{'protobuf' if protobuf else 'json'}-deflate", codec, frame)
