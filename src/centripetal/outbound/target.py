"""One place that is called: its bounds, and how calls to it share them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from .addresses import is_private_literal
from .result import CallRefused, HttpResult
from .slots import Slots

if TYPE_CHECKING:
    from .client import HttpClient
    from .exchanges import Route

MAX_CONCURRENT = 256
MAX_WAITING = 65_536
MAX_BODY_BYTES = 4 * 1024 * 1024


class TargetSettings(Struct, frozen=True, kw_only=True):
    """Bounds and habits of the calls to one target.

    Attributes:
        timeout_seconds: for a whole call, waiting for its turn included; each call may set its own.
        headers: sent with every call; those of the call itself win.
        tls: context of `https` and `wss` URLs; None for the system's trusted authorities.
        server_name: name that the certificate must have; empty for the host of the URL.
        max_concurrent: how many calls run at once.
        max_waiting: how many more may wait; the next ones fail at once.
        max_body_bytes: bound of an answer's body, as it comes and decompressed.
        public_only: refuse private, loopback and link-local addresses.
    """

    timeout_seconds: float = 1.0
    headers: Mapping[str, str] = {}
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    max_concurrent: int = MAX_CONCURRENT
    max_waiting: int = MAX_WAITING
    max_body_bytes: int = MAX_BODY_BYTES
    public_only: bool = False


class HttpTarget:
    """A place that is called. Slow answers make its own callers wait, nobody else's."""

    __slots__ = ("_client", "_is_private", "_route", "_slots", "settings")

    def __init__(self, client: HttpClient, route: Route, settings: TargetSettings) -> None:
        """Use HttpClient.target()."""
        self._client = client
        self._route = route
        self._is_private = settings.public_only and is_private_literal(route.url.raw_host or "")
        self._slots = Slots(settings.max_concurrent, settings.max_waiting)
        self.settings = settings

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._slots.waiting

    async def call(
        self,
        method: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> HttpResult:
        """Makes a call and reads its answer whole. Safe to cancel at any time.

        Args:
            method: `GET` or `POST`.
            body: None for none.
            headers: of this call; they replace those of the target, also in another case.
            timeout_seconds: instead of the target's.

        Raises:
            OutboundError: there is no answer.
        """
        if self._is_private:
            raise CallRefused("the address is private")
        timeout = self.settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        return await self._client.call(self._route, self._slots, method, body, headers, timeout)
