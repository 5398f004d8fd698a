"""What the front door serves: endpoints and the routes to them.

Endpoints know requests, answers and byte streams, and nothing of the version of HTTP that carries them. What differs between
versions is in two objects that a carrier hands them:

- a transport, `asyncio.Transport`, that takes the bytes of a body or of a WebSocket: the TCP connection itself with
  HTTP/1.x, an `exchange.Exchange` where a connection carries many requests (HTTP/2, HTTP/3);
- an AnswerWriter, which begins the answer on such a transport: as text with HTTP/1.x (`responses.ResponseWriter`), as a
  header section otherwise (`exchange_writer.ExchangeWriter`).

A new carrier of requests needs nothing in the endpoints. If its connections carry many requests, it makes an Exchange for
each and is an `carriers.Carrier` for them; the rest, from routes to bodies, limits and the fallback application, is there.
"""

from __future__ import annotations

import asyncio
from abc import ABCMeta, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol, cast

from ..interfaces.request import HttpRequest, HttpResponse


class AnswerWriter(Protocol):
    """Begins the answer to a request, in the way of what carries it. One for many requests; it keeps nothing of them."""

    def open(self, transport: asyncio.Transport, headers: list[tuple[str, str]], body: bytes, *, chunked: bool) -> None:
        """Sends the head of an answer with status 200 that stays open; its end is the close of the transport.

        Args:
            transport: of the request.
            headers: names and values.
            body: that goes out with the head.
            chunked: everything written is in HTTP/1.1 chunks, so that the end can be told from a failure. Only for
                requests of `http_version` 1.1.

        Raises:
            ValueError: a header contains a line break.
        """

    def respond(self, transport: asyncio.Transport, response: HttpResponse) -> None:
        """Sends a whole response in place of an answer that stays open; the caller closes the transport after it.

        Raises:
            ValueError: a header contains a line break.
        """

    def accept(self, transport: asyncio.Transport, request: HttpRequest, subprotocol: str, extensions: str) -> None:
        """Tells the client that from now on the transport carries WebSocket frames.

        Args:
            transport: of the request.
            request: an opening handshake that is in order.
            subprotocol: chosen one, empty for none.
            extensions: value for `Sec-WebSocket-Extensions`, empty for none.
        """


class OpenResponse(asyncio.Protocol, metaclass=ABCMeta):
    """An answer that stays open. The transport is its own for good, and what the client sends on it has no use."""

    __slots__ = ()

    @abstractmethod
    def begin(self, transport: asyncio.Transport, writer: AnswerWriter) -> None:
        """Begins to answer; only afterwards the front door makes this the transport's protocol.

        Args:
            transport: of the request.
            writer: sends the head, or a response that refuses.
        """


class HttpEndpoint(Protocol):
    """Answers requests with whole responses.

    One that has the attribute `begins_connections` is where clients come in: its requests wait at the gate. One that has
    `forgets_requests` judges a head by nothing but the head, and keeps no request: when the same head comes again on a
    connection, what begin() found holds, and the same object is the request.

    Attributes:
        max_body_bytes: larger bodies get 413 and are not read.
    """

    max_body_bytes: int

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        """Looks at a head.

        Returns:
            None to have the body read, or the response that spares it.
        """

    def respond(
        self, request: HttpRequest, body: bytes
    ) -> HttpResponse | OpenResponse | Coroutine[Any, Any, HttpResponse]:
        """Answers a whole request; a coroutine that never waits costs no task."""


class UpgradeEndpoint(Protocol):
    """Takes over the transports of its requests: after an HTTP/1.1 upgrade, or an extended CONNECT of later versions."""

    def upgrade(
        self, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter
    ) -> asyncio.Protocol | HttpResponse:
        """Has the handshake accepted and returns the transport's new protocol, or returns a response that refuses.

        The front door makes it the transport's protocol and hands it what was already read; `connection_made` is
        not called.

        Args:
            request: the opening handshake.
            transport: of the request.
            writer: accepts it.
        """


class Routes:
    """Which endpoint serves a path.

    Args:
        exact: by path.
        prefixes: by the beginning of a path; they come after the exact ones, the longest match wins.

    Attributes:
        newcomers: paths, as bytes, at which connections of clients begin; their requests wait at the gate.
    """

    __slots__ = ("_exact", "_prefixes", "_upgrades", "newcomers")

    def __init__(
        self,
        exact: Mapping[str, HttpEndpoint | UpgradeEndpoint] | None = None,
        prefixes: Iterable[tuple[str, HttpEndpoint]] = (),
    ) -> None:
        self._exact: dict[str, HttpEndpoint] = {}
        self._upgrades: dict[str, UpgradeEndpoint] = {}
        for path, endpoint in (exact or {}).items():
            if hasattr(endpoint, "upgrade"):
                self._upgrades[path] = cast(UpgradeEndpoint, endpoint)
            else:
                self._exact[path] = endpoint
        self.newcomers = frozenset(
            path.encode()
            for path, endpoint in (exact or {}).items()
            if path in self._upgrades or getattr(endpoint, "begins_connections", False)
        )
        self._prefixes = tuple(sorted(prefixes, key=lambda pair: -len(pair[0])))

    def find(self, path: str) -> HttpEndpoint | None:
        """Returns the endpoint that answers requests for a decoded path."""
        endpoint = self._exact.get(path)
        if endpoint is None:
            for prefix, candidate in self._prefixes:
                if path.startswith(prefix):
                    return candidate
        return endpoint

    def find_upgrade(self, path: str) -> UpgradeEndpoint | None:
        """Returns the endpoint that takes over connections for a decoded path."""
        return self._upgrades.get(path)
