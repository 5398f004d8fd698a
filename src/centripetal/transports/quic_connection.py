"""A QUIC connection whose peer can make us hold only so much.

aioquic raises its flow control windows by what was received, not by what was read, so that they grow without bound and a
reader that pauses stops nobody. Here they slide with what was read. And ids of connections are the port's, to find the process
that has one. This needs some of its private names; the tests of this file tell when they change.
"""

from __future__ import annotations

from typing import Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import END_STATES, QuicConnection, QuicConnectionId
from aioquic.quic.stream import QuicStream

from .quic_identity import QuicIdentity

STREAM_WINDOW_BYTES = 256 * 1024
"""A peer may send so much on one stream that was not read yet."""

CONNECTION_WINDOW_BYTES = 1024 * 1024
"""... and so much on all streams of a connection."""

MAX_STREAMS = 128
"""Streams of both directions that a peer may have open at once: requests, sessions and their streams."""

MAX_ONE_WAY_STREAMS = 16
"""HTTP/3 needs three, some clients open another to see that it is ignored."""

MAX_CONNECTION_IDS = 8
"""By so many ids a client may have its connection found, if it can keep as many."""


class BoundedQuicConnection(QuicConnection):
    """The server's end of a QUIC connection; see aioquic's QuicConnection.

    Args:
        configuration: with certificate and key.
        original_destination_connection_id: that the client has chosen.
        retry_source_connection_id: of our Retry packet, None if there was none.
        identity: names the connection.
    """

    def __init__(
        self,
        configuration: QuicConfiguration,
        original_destination_connection_id: bytes,
        retry_source_connection_id: bytes | None,
        identity: QuicIdentity,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )
        self._identity = identity
        first = self._new_connection_id(0)
        first.was_sent = True
        self._host_cids = [first]
        self.host_cid = self._local_initial_source_connection_id = first.cid
        self._granted_bytes = configuration.max_data
        self._unread: dict[int, int] = {}  # bytes delivered and not read, by stream
        one_way = self._local_max_streams_uni
        one_way.value = one_way.sent = MAX_ONE_WAY_STREAMS
        both_ways = self._local_max_streams_bidi
        both_ways.value = both_ways.sent = MAX_STREAMS

    @property
    def is_ending(self) -> bool:
        """Either side has closed the connection, or it is over."""
        return self._close_event is not None or self._state in END_STATES

    def unacknowledged_bytes(self, stream_id: int) -> int:
        """Returns how much of what was written to a stream the peer has not acknowledged."""
        stream = self._streams.get(stream_id)
        return len(stream.sender._buffer) if stream is not None else 0

    def deliver(self, stream_id: int, size: int) -> None:
        """Counts data as delivered and not read yet."""
        self._unread[stream_id] = self._unread.get(stream_id, 0) + size

    def consume(self, stream_id: int, size: int) -> None:
        """Lets the peer send more, after delivered data was read.

        Args:
            stream_id: where it came.
            size: bytes read.
        """
        left = self._unread.pop(stream_id, 0) - size
        if left > 0:
            self._unread[stream_id] = left
        self._grant(size)
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            limit = stream.receiver.starting_offset() - max(left, 0) + STREAM_WINDOW_BYTES
            if limit - stream.max_stream_data_local >= STREAM_WINDOW_BYTES // 2:
                stream.max_stream_data_local = limit

    def consume_rest(self, stream_id: int) -> None:
        """Counts all that was delivered of a stream as read."""
        unread = self._unread.get(stream_id)
        if unread:
            self.consume(stream_id, unread)

    def consume_reset(self, stream_id: int) -> None:
        """Counts as read what a stream, that the peer has reset, will not deliver."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._grant(stream.receiver.highest_offset - stream.receiver.starting_offset())

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Ends our side of a stream and frees what was not acknowledged."""
        super().reset_stream(stream_id, error_code)
        stream = self._streams.get(stream_id)
        if stream is not None and stream.sender.reset_pending:
            stream.sender._buffer.clear()

    def stop_receiving(self, stream_id: int, error_code: int) -> None:
        """Tells the peer that what it sends on a stream is not read any more."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(stream_id, error_code)

    def dismantle(self) -> None:
        """Undoes the reference cycles of a connection that is over; it cannot be used any more."""
        for space in (*self._spaces.values(), *self._loss.spaces):
            space.sent_packets.clear()  # each knows its space
        vars(self).clear()

    # The ids

    def _new_connection_id(self, number: int) -> QuicConnectionId:
        name = self._identity.new_connection_id()
        return QuicConnectionId(
            cid=name, sequence_number=number, stateless_reset_token=self._identity.reset_token(name)
        )

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(MAX_CONNECTION_IDS, self._remote_active_connection_id_limit):
            self._host_cids.append(self._new_connection_id(self._host_cid_seq))
            self._host_cid_seq += 1

    # The windows

    def _grant(self, size: int) -> None:
        self._granted_bytes += size
        if self._granted_bytes - self._local_max_data.value >= CONNECTION_WINDOW_BYTES // 2:
            self._local_max_data.value = self._granted_bytes

    def _write_connection_limits(self, builder: Any, space: Any) -> None:
        data = self._local_max_data
        used, data.used = data.used, 0  # or else it is doubled
        try:
            super()._write_connection_limits(builder, space)
        finally:
            data.used = used

    def _write_stream_limits(self, builder: Any, space: Any, stream: QuicStream) -> None:
        if stream.max_stream_data_local_sent == stream.max_stream_data_local:
            return
        receiver = stream.receiver
        highest, receiver.highest_offset = receiver.highest_offset, 0  # likewise
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            receiver.highest_offset = highest
