"""Requests and answers over kept connections, by aiohttp, with its errors translated."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from multidict import CIMultiDict
from yarl import URL

from .decompression import decompress_gzip
from .resolver import PrivateAddress, PublicResolver
from .result import (
    BadResponse,
    CallRefused,
    ClientClosed,
    HttpResult,
    OutboundError,
    TimedOut,
    TooLarge,
    Unreachable,
)
from .target import TargetSettings

MAX_HEADERS = 128
MAX_HEADER_BYTES = 8190
"""Bound of one header of an answer, and of its status line."""

KEEP_ALIVE_SECONDS = 30.0
READ_BUFFER_BYTES = 65_536
DNS_SECONDS = 10

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)


class Exchanges:
    """The connections of a client, and what goes over them. Opens them as needed."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    async def close(self) -> None:
        """Closes all connections; what runs over them raises ClientClosed."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    async def make(
        self, url: URL, settings: TargetSettings, method: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> HttpResult:
        """Sends a request and reads its answer whole.

        Raises:
            OutboundError: there is no answer.
        """
        sent = self._headers(settings.headers, headers)
        session = self._session(settings.public_only)
        try:
            async with session.request(
                method,
                url,
                data=body,
                headers=sent,
                allow_redirects=False,
                ssl=settings.tls or True,
                server_hostname=settings.server_name or None,
                skip_auto_headers=("Accept", "Content-Type"),
            ) as response:
                return await _read(response, settings.max_body_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._translated(error) from None

    def _headers(self, standing: Mapping[str, str], own: Mapping[str, str] | None) -> CIMultiDict[str]:
        sent = CIMultiDict({"Accept-Encoding": "gzip", "User-Agent": self._user_agent})
        sent.update(standing)
        if own:
            sent.update(own)
        return sent

    def _session(self, public_only: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(public_only)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ttl_dns_cache=DNS_SECONDS,
                resolver=PublicResolver() if public_only else None,
            )
            session = self._sessions[public_only] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_NO_TIMEOUT,
                auto_decompress=False,
                trust_env=False,
                read_bufsize=READ_BUFFER_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        return session

    def _translated(self, error: Exception) -> OutboundError:
        if isinstance(error, TimeoutError):
            return TimedOut("no answer in time")
        if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(error.os_error, PrivateAddress):
            return CallRefused("the address is private")
        if self._closed:
            return ClientClosed("the client is closed")
        return _from_library(error)


def _from_library(error: Exception) -> OutboundError:
    if isinstance(error, aiohttp.ClientResponseError):
        if _is_bound_of_headers(error):
            return TooLarge("the headers are too large")
        return BadResponse("the answer is not HTTP")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable("the connection broke within the answer")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable("the certificate is not trusted")
    if isinstance(error, OSError):
        return Unreachable(error.strerror or type(error).__name__)
    if isinstance(error, ValueError):  # also aiohttp.InvalidURL
        return CallRefused("URL or headers cannot be sent")
    return Unreachable(type(error).__name__)


def _is_bound_of_headers(error: BaseException | None) -> bool:
    # The parser's own error is the cause of the client's, or the cause of its cause.
    while error is not None:
        if isinstance(error, LineTooLong) or "Too many headers" in str(error):
            return True
        error = error.__cause__
    return False


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> HttpResult:
    if (response.content_length or 0) > max_bytes:
        response.close()
        raise TooLarge("the body is too large")
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > max_bytes:
            response.close()
            raise TooLarge("the body is too large")
        parts.append(part)
    body = b"".join(parts)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding == "gzip":
        body = decompress_gzip(body, max_bytes)
    elif encoding not in ("", "identity"):
        raise BadResponse("the body has a content encoding that was not asked for")
    return HttpResult(response.status, response.headers, body)
