"""What a transport provides to the connection that it carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..model import Disconnect


class Encoding(Protocol):
    """How messages look on a transport: everything that decides the bytes of a prepared frame.

    One shared instance per kind, so that it serves as the key under which subscribers are grouped and a
    publication is encoded once (design: encode once per encoding key).

    Attributes:
        name: for logs and metrics, e.g. `websocket-json`.
        codec: the shared codec, `protocol.json_codec.JsonCodec` or `protocol.protobuf_codec.ProtobufCodec`.
        unidirectional: pushes go out bare, without the Reply around them.
        frame: message bytes -> what is written to the socket (WebSocket header, delimiter, length).
    """

    @property
    def name(self) -> str:
        """For logs and metrics; begins with the transport's name."""

    @property
    def codec(self) -> object:
        """The shared codec."""

    @property
    def unidirectional(self) -> bool:
        """Pushes go out bare."""

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Makes a message what is written to the socket."""


class Transport(Protocol):
    """The carrier of one connection. All methods are called on the event loop and never block.

    Attributes:
        name: `websocket`, `sse`, `http_stream`, … (label of metrics, field of logs).
        encoding: see Encoding.
        emulated: commands come through another request (`/emulation`), so the connect reply has session and node.
        frame_ping_pong: native pings instead of protocol pings (`cf_ws_frame_ping_pong`).
        ping_interval_seconds: 0 for no pings.
        pong_timeout_seconds: 0 for no check.
        write: writes bytes already framed; the bound method of the asyncio transport where there is one.
    """

    @property
    def name(self) -> str:
        """Label of metrics, field of logs."""

    @property
    def encoding(self) -> Encoding:
        """How messages look."""

    @property
    def emulated(self) -> bool:
        """Commands come through another request."""

    @property
    def frame_ping_pong(self) -> bool:
        """Pings are the transport's own."""

    @property
    def ping_interval_seconds(self) -> float:
        """Seconds between pings, 0 for none."""

    @property
    def pong_timeout_seconds(self) -> float:
        """Seconds to wait for a pong, 0 for no check."""

    @property
    def write_timeout_seconds(self) -> float:
        """A peer that takes nothing for so long, while more than the high-water mark waits, is gone; 0 for no limit."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Writes framed bytes."""

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    def send_native_ping(self) -> None:
        """Sends the transport's own ping frame (only with frame_ping_pong)."""

    def pause_reading(self) -> None:
        """Stops taking input; what is already parsed may still be delivered."""

    def resume_reading(self) -> None:
        """Takes input again."""

    def close(self, disconnect: Disconnect | None) -> None:
        """Ends the connection after what was written, telling the client why in the transport's way.

        Args:
            disconnect: code and reason, None when the peer is gone already.
        """

    def abort(self) -> None:
        """Ends the connection at once, dropping what was not sent."""
