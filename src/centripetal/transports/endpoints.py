"""What the front door serves: endpoints and the routes to them."""

from __future__ import annotations

import asyncio
from abc import ABCMeta, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol, cast

from ..interfaces.request import HttpRequest, HttpResponse
from .responses import ResponseWriter


class OpenResponse(asyncio.Protocol, metaclass=ABCMeta):
    """An answer that stays open. The connection is its own for good, and what the client sends on it has no use."""

    __slots__ = ()

    @abstractmethod
    def begin(self, transport: asyncio.Transport, writer: ResponseWriter) -> None:
        """Begins to answer; only afterwards the front door makes this the connection's protocol.

        Args:
            transport: of the connection.
            writer: encodes the head, or a response that refuses.
        """


class HttpEndpoint(Protocol):
    """Answers requests with whole responses.

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
    """Takes over the connections of its requests."""

    def upgrade(self, request: HttpRequest, transport: asyncio.Transport) -> asyncio.Protocol | HttpResponse:
        """Answers the head itself and returns the connection's new protocol, or returns a response that refuses.

        The front door makes it the transport's protocol and hands it what was already read; `connection_made` is
        not called.
        """


class Routes:
    """Which endpoint serves a path.

    Args:
        exact: by path.
        prefixes: by the beginning of a path; they come after the exact ones, the longest match wins.
    """

    __slots__ = ("_exact", "_prefixes", "_upgrades")

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
