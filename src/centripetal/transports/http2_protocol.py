"""The state of an HTTP/2 connection: the library's, set up as a server of ours needs it."""

from __future__ import annotations

import struct

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings

MAX_STREAMS = 250
"""So many requests may be open at once on a connection."""

STREAM_WINDOW_BYTES = 65535
"""So much of a stream's body may be on its way or unread; with all streams it makes the connection's window."""

MAX_TABLE_BYTES = 4096
"""Of the table that compresses our heads; the peer may allow more, but it is our memory."""

_GOAWAY = b"\0\0\x08\x07\0\0\0\0\0"  # the frame's header
_TWO_NUMBERS = struct.Struct(">LL")


class Http2Protocol(H2Connection):
    """The server's side of a connection.

    Args:
        max_head_bytes: a larger header section is refused.
    """

    MAX_CLOSED_STREAMS = 1024  # remembered, to tell late frames from wrong ones

    def __init__(self, max_head_bytes: int) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_head_bytes,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            },
        )
        self.decoder.max_header_list_size = max_head_bytes
        self.max_inbound_frame_size = self.local_settings.max_frame_size

    @property
    def open_inbound_streams(self) -> int:
        """Never so many that the library ends the connection: its owner refuses the stream instead."""
        return min(super().open_inbound_streams, MAX_STREAMS - 1)

    def begin(self) -> None:
        """Has the settings sent, and opens the connection's window for all streams."""
        self.initiate_connection()
        self.increment_flow_control_window((MAX_STREAMS - 1) * STREAM_WINDOW_BYTES)

    def bound_table(self) -> None:
        """Holds the table that compresses our heads to its bound, after the peer's settings."""
        self.encoder.header_table_size = min(self.encoder.header_table_size, MAX_TABLE_BYTES)

    def goodbye(self, code: ErrorCodes) -> bytes:
        """Returns the frame (GOAWAY) that ends the connection for further requests.

        Not by the library's close_connection(), after which it lets no stream be answered.
        """
        return _GOAWAY + _TWO_NUMBERS.pack(self.highest_inbound_stream_id, code)

    def outlive_goodbye(self) -> None:
        """The peer opens no more streams; those that are open go on, which the library has to be told."""
        self.state_machine.state = ConnectionState.SERVER_OPEN
