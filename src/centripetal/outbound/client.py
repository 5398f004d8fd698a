"""The HTTP client. Connections are kept and shared by calls; nothing else is: no cookies, no redirects, no environment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from yarl import URL

from .result import ClientClosed, HttpResult, TimedOut
from .slots import Slots
from .target import HttpTarget, TargetSettings

if TYPE_CHECKING:
    from .exchanges import Exchanges, Route


class HttpClient:
    """Makes all HTTP calls of a process. One for each event loop; close() ends it."""

    def __init__(self, user_agent: str = "centripetal") -> None:
        """Opens nothing yet, and needs no running loop.

        Args:
            user_agent: sent where neither target nor call says another.
        """
        self._user_agent = user_agent
        self._exchanges: Exchanges | None = None
        self._closed = False

    def prepare(self) -> None:
        """Loads what calls need, so that the first one does not hold the loop up; target() does it too."""
        if self._exchanges is None:
            # The library takes nine megabytes and a moment to load, which a server that calls nobody need not spend.
            from .exchanges import Exchanges

            self._exchanges = Exchanges(self._user_agent)

    def target(self, url: str, settings: TargetSettings | None = None) -> HttpTarget:
        """Returns a place to call.

        Args:
            url: absolute, `http` or `https`.
            settings: its bounds; the defaults if left out.

        Raises:
            ValueError: the URL cannot be called; the text does not quote it.
        """
        parsed, settings = parse_url(url), settings or TargetSettings()
        self.prepare()
        assert self._exchanges is not None
        return HttpTarget(self, self._exchanges.route(parsed, settings), settings)

    async def close(self) -> None:
        """Ends the calls that run, which raise ClientClosed, and closes all connections. Idempotent."""
        self._closed = True
        exchanges, self._exchanges = self._exchanges, None
        if exchanges is not None:
            await exchanges.close()

    async def call(
        self,
        route: Route,
        slots: Slots,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> HttpResult:
        """Makes a call; see HttpTarget.call()."""
        # Commands start within whatever task or callback read their bytes and become a task of their own at their first
        # wait; a timeout belongs to the task in which it begins, so that wait has to come before it.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(timeout_seconds):
                await slots.acquire()
                try:
                    if self._closed or self._exchanges is None:
                        raise ClientClosed("the client is closed")
                    return await self._exchanges.make(route, method, body, headers)
                finally:
                    slots.release()
        except TimeoutError:
            raise TimedOut("no answer in time") from None


def parse_url(url: str) -> URL:
    """Returns a URL that can be called.

    Raises:
        ValueError: it is not absolute, of another scheme than `http` and `https`, or malformed.
    """
    try:
        parsed = URL(url)
        port = parsed.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or not port:
        raise ValueError("is not an absolute http or https URL")
    return parsed
