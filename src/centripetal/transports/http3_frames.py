"""HTTP/3 frames and heads with bounds, over aioquic."""

from __future__ import annotations

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection, H3Stream, ProtocolError, Setting, encode_frame

from .quic_connection import BoundedQuicConnection

MAX_CONTROL_FRAME_BYTES = 4096
"""Settings are much smaller."""


class ExcessiveLoad(ProtocolError):
    """The peer wants us to hold more than it may."""

    error_code = ErrorCode.H3_EXCESSIVE_LOAD


class BoundedHttp3(H3Connection):
    """aioquic's HTTP/3 with bounds on heads.

    Args:
        quic: connection below.
        head_bytes: largest head, as it comes and decoded.
        headers: largest number of fields in it.
        webtransport: sessions may be opened.
    """

    def __init__(self, quic: BoundedQuicConnection, *, head_bytes: int, headers: int, webtransport: bool) -> None:
        self._head_bytes = head_bytes
        self._max_headers = headers
        super().__init__(quic, enable_webtransport=webtransport)

    def finish_sending(self, stream_id: int) -> None:
        """Our side of a stream was ended below HTTP/3, so that its state can be dropped with the peer's side."""
        stream = self._stream.get(stream_id)
        if stream is not None:
            with self._get_or_create_stream(stream_id):
                stream.sending_ended = True

    def go_away(self, stream_id: int) -> None:
        """Tells the client that requests from this stream on are not served (GOAWAY)."""
        control = self._local_control_stream_id
        if control is not None:
            self._quic.send_stream_data(control, encode_frame(FrameType.GOAWAY, encode_uint_var(stream_id)))

    def _init_connection(self) -> None:
        # Without a dynamic table, a small head cannot become a large one, and none waits for another.
        self._max_table_capacity = self._blocked_streams = 0
        self._decoder = pylsqpack.Decoder(0, 0)
        super()._init_connection()

    def _get_local_settings(self) -> dict[int, int]:
        return super()._get_local_settings() | {Setting.MAX_FIELD_SECTION_SIZE: self._head_bytes}

    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if frame_type == FrameType.HEADERS and (stream.frame_size or 0) > self._head_bytes:
            raise ExcessiveLoad("the head is too large")

    def _check_control_frame_type(self, frame_type: int) -> None:
        super()._check_control_frame_type(frame_type)
        control = self._peer_control_stream_id
        if control is None or frame_type not in (FrameType.SETTINGS, FrameType.MAX_PUSH_ID):
            return
        if (self._stream[control].frame_size or 0) > MAX_CONTROL_FRAME_BYTES:
            raise ExcessiveLoad("a control frame is too large")

    def _decode_headers(self, stream_id: int, frame_data: bytes | None) -> list[tuple[bytes, bytes]]:
        headers = super()._decode_headers(stream_id, frame_data)
        size = sum([len(name) + len(value) + 32 for name, value in headers])
        if len(headers) > self._max_headers or size > self._head_bytes:
            raise ExcessiveLoad("the head is too large")
        return headers
