"""What a WebTransport session asks of the connection that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .deadlines import Deadlines

if TYPE_CHECKING:
    from .webtransport_session import WebTransportSession


class SessionCarrier(Protocol):
    """The connection of a session, as far as the session knows it.

    Attributes:
        deadlines: that watch its sessions.
    """

    deadlines: Deadlines

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> int:
        """Writes to a stream.

        Returns:
            How much of what was written to it the peer has not acknowledged; -1 if the stream takes nothing any more.
        """

    def buffered_bytes(self, stream_id: int) -> int:
        """Returns how much of what was written to a stream the peer has not acknowledged."""

    def refuse(self, stream_id: int) -> None:
        """Ends a stream in both directions at once."""

    def stop(self, stream_id: int) -> None:
        """Tells the peer that a stream is not read any more."""

    def hold(self, stream_id: int) -> None:
        """What comes on a stream is from now on not read when it is delivered."""

    def release(self, stream_id: int) -> None:
        """What was held has been read."""

    def send_capsule(self, session_id: int, capsule: bytes) -> None:
        """Sends a capsule and ends our side of the session's request."""

    def watch_writing(self, session: WebTransportSession) -> None:
        """Calls the session's `writing_progressed` when the peer acknowledges something."""

    def send_ping(self) -> None:
        """Has the peer give a sign of life."""

    def forget_session(self, session_id: int) -> None:
        """The session is over; what still comes for it is refused."""
