"""The key set of an endpoint, as it answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from yarl import URL

from ..outbound import HttpClient, HttpResult, OutboundError, TargetSettings, TimedOut
from .key_set import MAX_SET_BYTES

TIMEOUT_SECONDS = 1.0
ATTEMPTS = 2
SHORTEST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.12
MAX_REDIRECTS = 3

_REDIRECTS = (301, 302, 303, 307, 308)

Pause = Callable[[float], Awaitable[None]]


class RefusedStatus(OutboundError):
    """The endpoint answered with another status than 200."""

    kind = "status"

    def __init__(self, status: int) -> None:
        super().__init__(f"the endpoint answered with status {status}")
        self.status = status


class KeyDownload:
    """Asks one endpoint, a second time if that may help.

    Args:
        client: makes the calls.
        url: of the endpoint.
        public_only: call no private, loopback or link-local address.
        pause: waits so many seconds between attempts.
        jitter: says, from 0 to 1, how long within the bounds.
    """

    def __init__(
        self, client: HttpClient, url: URL, public_only: bool, pause: Pause, jitter: Callable[[], float]
    ) -> None:
        self._client = client
        self._url = url
        self._settings = TargetSettings(
            timeout_seconds=TIMEOUT_SECONDS,
            headers={"Accept": "application/json"},
            max_concurrent=1,
            max_body_bytes=MAX_SET_BYTES,
            public_only=public_only,
        )
        self._pause = pause
        self._jitter = jitter

    @property
    def host(self) -> str:
        """Of the endpoint, for logs."""
        return self._url.host or ""

    async def __call__(self) -> bytes:
        """Returns what the endpoint answers.

        Raises:
            OutboundError: there is no answer, or one of another status than 200.
        """
        spread = LONGEST_PAUSE_SECONDS - SHORTEST_PAUSE_SECONDS
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._download()
            except OutboundError as error:
                if isinstance(error, RefusedStatus) and error.status < 500:
                    raise
            await self._pause(SHORTEST_PAUSE_SECONDS + spread * self._jitter())
        return await self._download()

    async def _download(self) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):  # redirects included
                result = await self._follow()
        except TimeoutError:
            raise TimedOut("no answer in time") from None
        if result.status != 200:
            raise RefusedStatus(result.status)
        return result.body

    async def _follow(self) -> HttpResult:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            result = await self._client.target(str(url), self._settings).call("GET")
            following = _redirect(url, result)
            if following is None:
                break
            url = following
        return result


def _redirect(url: URL, result: HttpResult) -> URL | None:
    """Returns where a redirect leads, if that is the same host and port, or HTTPS instead of HTTP there."""
    location = result.headers.get("Location", "")
    if result.status not in _REDIRECTS or not location:
        return None
    try:
        following = url.join(URL(location))
        upgraded = (url.scheme, following.scheme) == ("http", "https") and following.is_default_port()
        same = (url.scheme, url.port) == (following.scheme, following.port)
    except ValueError:
        return None
    return following if following.host == url.host and (same or upgraded) and not following.user else None
