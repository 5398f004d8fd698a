"""Requests and answers over kept connections, by aiohttp, with its errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from multidict import CIMultiDict
from yarl import URL

from .decompression import decompress_gzip
from .heads import Heads
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
_INTERIM = range(100, 200)
_SWITCHING_PROTOCOLS = 101


class Route:
    """How to get to one target, and what all requests to it say. Made without a loop, used within one."""

    __slots__ = ("_user_agent", "heads", "request", "settings", "url")

    def __init__(self, url: URL, settings: TargetSettings, user_agent: str) -> None:
        self.url = url
        self.settings = settings
        self.heads: Heads | None = None
        self.request: aiohttp.ClientRequest | None = None
        self._user_agent = user_agent

    def prepare(self) -> tuple[Heads, aiohttp.ClientRequest]:
        """Makes what all requests share; the library's own request only tells it where to connect to.

        Raises:
            ValueError: the headers cannot be sent.
        """
        if self.heads is None or self.request is None:
            headers = CIMultiDict({"Accept-Encoding": "gzip", "User-Agent": self._user_agent})
            headers.update(self.settings.headers)
            self.heads = Heads(self.url, headers)
            self.request = aiohttp.ClientRequest(
                "GET",
                self.url.with_user(None),
                loop=asyncio.get_running_loop(),
                ssl=self.settings.tls or True,
                server_hostname=self.settings.server_name or None,
            )
        return self.heads, self.request


class Exchanges:
    """The connections of a client, and what goes over them. Opens them as needed.

    The library keeps the connections and parses the answers. Its sessions, requests and responses, which can do much more
    than is needed here, cost more than all the rest of a call.
    """

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._connectors: dict[bool, aiohttp.TCPConnector] = {}
        self._closed = False

    async def close(self) -> None:
        """Closes all connections; what runs over them raises ClientClosed."""
        self._closed = True
        for connector in self._connectors.values():
            await connector.close()

    def route(self, url: URL, settings: TargetSettings) -> Route:
        """Returns the way to a target."""
        return Route(url, settings, self._user_agent)

    async def make(
        self, route: Route, method: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> HttpResult:
        """Sends a request and reads its answer whole.

        Raises:
            OutboundError: there is no answer.
        """
        try:
            heads, request = route.prepare()
            size = len(body) if body is not None else 0 if method == "POST" else None
            message = heads.of(method, headers, size) + (body or b"")
            try:
                return await self._exchange(route.settings, request, message)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                if method != "GET":  # a kept connection may end just when it is used; only what can be repeated is
                    raise
                return await self._exchange(route.settings, request, message)
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise self._translated(error) from None

    async def _exchange(self, settings: TargetSettings, request: aiohttp.ClientRequest, message: bytes) -> HttpResult:
        connection = await self._connector(settings.public_only).connect(request, [], _NO_TIMEOUT)
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_BUFFER_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
            transport.write(message)
            head, payload = await protocol.read()
            while head.code in _INTERIM and head.code != _SWITCHING_PROTOCOLS:
                head, payload = await protocol.read()
            body = await _read(head.headers, payload, settings.max_body_bytes)
            connection_is_usable = not transport.get_write_buffer_size()
        except BaseException:
            _end(connection)
            raise
        if connection_is_usable:
            connection.release()
        else:  # answered before the request was sent
            _end(connection)
        return HttpResult(head.code, head.headers, body)

    def _connector(self, public_only: bool) -> aiohttp.TCPConnector:
        connector = self._connectors.get(public_only)
        if connector is None:
            connector = self._connectors[public_only] = aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ttl_dns_cache=DNS_SECONDS,
                resolver=PublicResolver() if public_only else None,
            )
        return connector

    def _translated(self, error: Exception) -> OutboundError:
        if isinstance(error, TimeoutError):
            return TimedOut("no answer in time")
        if isinstance(error, aiohttp.ClientConnectorDNSError) and isinstance(error.os_error, PrivateAddress):
            return CallRefused("the address is private")
        if self._closed:
            return ClientClosed("the client is closed")
        return _from_library(error)


def _from_library(error: Exception) -> OutboundError:
    if isinstance(error, HttpProcessingError):
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
    # The parser's own error is the cause of the protocol's.
    while error is not None:
        if isinstance(error, LineTooLong) or "Too many headers" in str(error):
            return True
        error = error.__cause__
    return False


def _end(connection: aiohttp.connector.Connection) -> None:
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()  # to close it would be to send the rest first
    connection.close()


async def _read(headers: Mapping[str, str], payload: aiohttp.StreamReader, max_bytes: int) -> bytes:
    if int(headers.get("Content-Length", 0)) > max_bytes:
        raise TooLarge("the body is too large")
    body = await payload.readany()
    if not payload.at_eof():
        parts = [body]
        size = len(body)
        while size <= max_bytes and (part := await payload.readany()):
            parts.append(part)
            size += len(part)
        body = b"".join(parts)
    if len(body) > max_bytes:
        raise TooLarge("the body is too large")
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding == "gzip":
        return decompress_gzip(body, max_bytes)
    if encoding not in ("", "identity"):
        raise BadResponse("the body has a content encoding that was not asked for")
    return body
