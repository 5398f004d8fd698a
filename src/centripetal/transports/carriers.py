"""What exchanges need of the connections that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .exchange import Cause, Exchange
    from .listener import Listener


class Carrier(Protocol):
    """A connection of many streams. Everything is called on the event loop.

    Attributes:
        listener: whose routes and limits its exchanges are served by.
    """

    listener: Listener

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what the connection's transport knows, e.g. `peername`."""

    def send_head(self, exchange: Exchange, fields: list[tuple[bytes, bytes]]) -> None:
        """Sends a header section, before what waits in the exchange.

        Args:
            exchange: of the stream.
            fields: names in lower case and values, `:status` first.
        """

    def wake(self, exchange: Exchange) -> None:
        """Has the carrier send, by the end of the loop's turn, what waits in an exchange, by `take`.

        When an exchange that `is_closing` has nothing left, the carrier ends the stream's sending side and calls
        `sent_end`.
        """

    def send_now(self) -> None:
        """Sends what may be sent at once of all exchanges that were woken; does nothing if that is being done."""

    def consumed(self, exchange: Exchange, size: int) -> None:
        """The peer may send so many bytes more on the stream."""

    def reset(self, exchange: Exchange, cause: Cause) -> None:
        """Ends both sides of the stream at once; what waits is not sent."""

    def discard(self, exchange: Exchange) -> None:
        """Forgets an exchange that has ended."""
