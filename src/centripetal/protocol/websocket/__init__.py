"""WebSocket (RFC 6455) and permessage-deflate (RFC 7692) for servers, without I/O."""

from .closing import check_close, close_payload
from .deflate import DeflateError, Deflater, MessageTooBig, inflate, negotiate
from .frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_frame,
    compressed_frame,
    control_frame,
    frame_size,
    ping_frame,
    pong_frame,
    text_frame,
    whole_message,
)
from .handshake import accept, choose_subprotocol, refuse, refuse_tunnel
from .masking import unmask
from .messages import VIOLATION, Event, MessageLimits, MessageParser

__all__ = [
    "BINARY", "CLOSE", "PING", "PONG", "TEXT", "VIOLATION", "DeflateError", "Deflater", "Event", "MessageLimits",
    "MessageParser", "MessageTooBig", "accept", "binary_frame", "check_close", "choose_subprotocol", "close_frame",
    "close_payload", "compressed_frame", "control_frame", "frame_size", "inflate", "negotiate", "ping_frame",
    "pong_frame", "refuse", "refuse_tunnel", "text_frame", "unmask", "whole_message",
]  # fmt: skip
