"""A small client of a running server's HTTP API, and where that server is."""

from __future__ import annotations

import http.client
import json
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec import Struct

from centripetal.config.schema import Config
from centripetal.transports.tls import tls_of

from .local_tls import LocalTls, local_tls
from .sources import DEFAULT_FILE, load_config

TIMEOUT_SECONDS = 10.0
MAX_REPLY_BYTES = 64 * 1024 * 1024
_EVERYWHERE = ("", "0.0.0.0", "::", "[::]")


class Target(Struct, frozen=True, kw_only=True):
    """Where the HTTP API is.

    Attributes:
        url: without a method, such as "http://127.0.0.1:8000/api".
        key: sent as X-API-Key; empty for none.
        tls: how to connect to an `https` address of this machine; None to check its certificate as usual.
    """

    url: str
    key: str
    tls: LocalTls | None = None


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where the server is; target_of() reads them."""
    for option in (
        click.option("--key", metavar="KEY", help="API key (default: http_api.key of the configuration)."),
        click.option("--url", metavar="URL", help="API address, such as http://localhost:8000/api."),
        click.option("-c", "--config", metavar="FILE", help="The server's configuration (default: config.json)."),
    ):
        command = option(command)
    return command


def target_of(config: str | None, url: str | None, key: str | None) -> Target:
    """Returns where the server is: from flags, else from its configuration file and the environment.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    settings = read_settings(config)
    return Target(
        url=(url or api_url(settings)).rstrip("/"),
        key=settings.http_api.key if key is None else key,
        tls=None if url else local_tls(settings, _door_of_api(settings)),
    )


def read_settings(config: str | None) -> Config:
    """Reads a server's configuration.

    Raises:
        ClickException: the file was named and is not there.
        ConfigError: it cannot be read.
    """
    loaded = load_config(config or DEFAULT_FILE)
    if config and not loaded.file_found:
        raise click.ClickException(f"{config}: there is no such file")
    return loaded.config


def api_url(config: Config) -> str:
    """Returns the address at which a server with this configuration has its HTTP API on this machine."""
    server = config.http_server
    address, port = (server.address, server.port) if config.http_api.external else server.internal_place
    scheme = "http" if tls_of(server, _door_of_api(config))[1] is None else "https"
    return f"{scheme}://{reachable(address)}:{port}{config.http_api.handler_prefix}"


def _door_of_api(config: Config) -> str:
    apart = config.http_server.has_internal_listener and not config.http_api.external
    return "internal" if apart else "external"


def reachable(address: str) -> str:
    """Returns an address to connect to for one that a server listens on."""
    if address in _EVERYWHERE:
        return "127.0.0.1"
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def call(target: Target, method: str, request: dict[str, Any]) -> dict[str, Any]:
    """Calls a method of the API and returns its result.

    Raises:
        ClickException: the server cannot be reached, or answers with an error.
    """
    headers = {"Content-Type": "application/json"}
    if target.key:
        headers["X-API-Key"] = target.key
    connection, path = _connection(target)
    try:
        connection.request("POST", f"{path}/{method}", json.dumps(request), headers)
        response = connection.getresponse()
        body = response.read(MAX_REPLY_BYTES + 1)
        connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise click.ClickException(f"{target.url}: cannot be reached: {reason}") from error
    return _result(target, response.status, body)


class _LocalConnection(http.client.HTTPConnection):
    """HTTPS to this machine."""

    def __init__(self, host: str, port: int | None, tls: LocalTls) -> None:
        super().__init__(host, port, timeout=TIMEOUT_SECONDS)
        self._tls = tls

    def connect(self) -> None:
        super().connect()
        self.sock = self._tls.wrap(self.sock)


def _connection(target: Target) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(target.url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[parts.scheme]
        if not parts.hostname:
            raise ValueError("no host")
        if target.tls is not None:
            return _LocalConnection(parts.hostname, parts.port, target.tls), parts.path
        return kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS), parts.path
    except (KeyError, ValueError, http.client.HTTPException):
        raise click.ClickException(f"{target.url}: is not an address such as http://localhost:8000/api") from None


def _result(target: Target, status: int, body: bytes) -> dict[str, Any]:
    if status == 401:
        raise click.ClickException(f"{target.url}: wrong or missing API key; give it with --key or http_api.key")
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict) or len(body) > MAX_REPLY_BYTES:
        raise click.ClickException(f"{target.url}: answers with status {status}, and not as a server API does")
    error = reply.get("error")
    if isinstance(error, dict):
        raise click.ClickException(f"the server answers error {error.get('code')}: {printable(error.get('message'))}")
    if status != 200:
        message = printable(reply.get("message", ""))
        raise click.ClickException(f"the server answers status {status}, error {reply.get('code')}: {message}")
    result = reply.get("result")
    return result if isinstance(result, dict) else {}


def printable(value: object) -> str:
    """Returns a text that a terminal shows as it is: no control characters from the outside reach it."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character if unicodedata.category(character)[0] != "C" else character.encode("unicode_escape").decode()
        for character in text
    )
