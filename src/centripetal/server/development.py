"""Development mode (`centripetal serve --dev`): a server without a configuration file, and a page that shows it.

With `--dir` it also serves the developer's own pages, which get tokens from `/development/session?user=NAME`.

Nothing is kept when it stops. What no option says is made up for the run: a token secret, an API key, channels in which
clients may do everything. It listens on the loopback address unless another one is given, and its pages answer only
requests from this machine.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import __version__
from ..auth.issue import sign_connection_token
from ..auth.keys import TokenSettingsError
from ..config import Config, LoadedConfig
from ..connection.subscribe import TYPES
from ..interfaces import SystemClock
from ..model import ClientError
from ..node.namespaces import MAP_TYPES
from ..node.node import Node
from .pages import path_of
from .run import serve

LOOPBACK = "127.0.0.1"
LOCAL_HOSTS = frozenset({"localhost", LOOPBACK, "[::1]"})
LOCAL_CLIENTS = frozenset({LOOPBACK, "::1", "::ffff:127.0.0.1"})
LOCAL_ORIGINS = tuple(
    f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in ("localhost", LOOPBACK) for port in ("", ":*")
)

TOKEN_TTL_SECONDS = 7 * 24 * 3600
USER = "alice"
PAGE_USER = "page"
CHANNEL = "news"
MAX_USER_LENGTH = 100

MAX_CONNECTIONS_SHOWN = 200
MAX_CHANNELS_SHOWN = 200

PAGE = Path(__file__).with_name("page")
HOME = "/development/"
FILES = {
    HOME: ("index.html", "text/html; charset=utf-8"),
    "/development/page.css": ("page.css", "text/css; charset=utf-8"),
    "/development/page.js": ("page.js", "text/javascript; charset=utf-8"),
}

Section = TypeVar("Section", bound=Struct)


def serve_development(loaded: LoadedConfig, directory: str | None = None) -> int:
    """Runs a server for development until a signal ends it.

    Args:
        loaded: from flags, the environment and a file if one was named; what it leaves at its default is made up.
        directory: of the developer's own pages, which then are at `/` (`--dir`).

    Returns:
        The process's exit code, as serve() does; 1 when the port is taken or there is no such directory.
    """
    loaded = msgspec.structs.replace(loaded, config=development_config(loaded.config))
    config = loaded.config
    problem = _why_not_listening(config)
    if directory is not None and not Path(directory).is_dir():
        problem = f"--dir: {directory!r} is not a directory"
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(greeting(config, directory), flush=True)

    def routes(node: Node) -> Sequence[BaseRoute]:
        return development_routes(config, node, directory)

    return serve(loaded, lambda: loaded, extra_routes=routes)


def development_config(config: Config) -> Config:
    """Returns the configuration with everything filled in that a developer need not think about yet."""
    client, channel = config.client, config.channel
    token = _fill(client.token, hmac_secret_key=secrets.token_urlsafe(32))
    with_token = msgspec.structs.replace(client, token=token)
    return msgspec.structs.replace(
        config,
        http_server=_fill(config.http_server, address=LOOPBACK),
        http_api=_fill(config.http_api, key=secrets.token_urlsafe(16)),
        health=_fill(config.health, enabled=True),
        prometheus=_fill(config.prometheus, enabled=True),
        sse=_fill(config.sse, enabled=True),
        http_stream=_fill(config.http_stream, enabled=True),
        uni_sse=_fill(config.uni_sse, enabled=True),
        uni_http_stream=_fill(config.uni_http_stream, enabled=True),
        client=_fill(with_token, allowed_origins=LOCAL_ORIGINS),
        channel=msgspec.structs.replace(
            channel,
            without_namespace=_fill(
                channel.without_namespace,
                presence=True,
                join_leave=True,
                history_size=100,
                history_ttl=600.0,
                allow_positioning=True,
                allow_recovery=True,
                force_recovery=True,
                allowed_delta_types=("fossil",),
                allow_tags_filter=True,
                allow_subscribe_for_client=True,
                allow_publish_for_client=True,
                allow_presence_for_client=True,
                allow_history_for_client=True,
                allow_user_limited_channels=True,
            ),
        ),
    )


def _fill(section: Section, **values: Any) -> Section:
    """Returns the section with these values where it still has its defaults."""
    defaults = type(section)()
    missing = {name: value for name, value in values.items() if getattr(section, name) == getattr(defaults, name)}
    return msgspec.structs.replace(section, **missing)


def _why_not_listening(config: Config) -> str:
    """Returns why the port cannot be used, or nothing; before the greeting names addresses that belong to others."""
    server = config.http_server
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.address, server.port))
        except OSError as error:
            return f"cannot listen on {server.address or '*'}:{server.port}: {error.strerror}; --port N takes another port"
    return ""


# -- what the terminal says


def greeting(config: Config, directory: str | None = None) -> str:
    """Returns what is printed at start: addresses, a token, and a command that publishes."""
    base = f"localhost:{config.http_server.port}"
    pages = [("Page", "/")] if directory is None else [("Your page", "/"), ("Watch it", HOME)]
    return "\n".join(
        [
            f"Centripetal {__version__} for development. Everything is in memory and gone when it stops (Ctrl+C).",
            "",
            *(f"  {name:<9}  http://{base}{path}" for name, path in pages),
            f"  WebSocket  ws://{base}{path_of(config.websocket.handler_prefix)}",
            f"  API        http://{base}{path_of(config.http_api.handler_prefix)}",
            f"  API key    {config.http_api.key}",
            f"  Token      {_token(config, USER)}",
            f"             (user {USER!r}, valid for {TOKEN_TTL_SECONDS // 86400} days, as long as this server runs)",
            "",
            f"Publish something and watch it arrive on {'the page' if directory is None else HOME}:",
            "",
            f"  {publish_command(config)}",
            "",
        ]
    )


def publish_command(config: Config) -> str:
    """Returns a shell command that publishes over the HTTP API."""
    address = f"http://localhost:{config.http_server.port}{path_of(config.http_api.handler_prefix)}/publish"
    body = msgspec.json.encode({"channel": CHANNEL, "data": {"text": "hello"}}).decode()
    return f"curl -H 'X-API-Key: {config.http_api.key}' -d '{body}' {address}"


def _token(config: Config, user: str) -> str:
    try:
        return sign_connection_token(config.client.token, user, TOKEN_TTL_SECONDS, SystemClock())
    except TokenSettingsError:
        return ""


# -- the page


def development_routes(config: Config, node: Node, directory: str | None = None) -> Sequence[BaseRoute]:
    """Returns the routes of the pages: their files, what they need to connect, and what is shown of the node.

    Args:
        config: the configuration.
        node: what is shown.
        directory: whose files are at `/`; the development page then is at `/development/` only.
    """

    async def session(request: Request) -> Response:
        user = request.query_params.get("user", PAGE_USER)[:MAX_USER_LENGTH]
        return _refuse(request) or JSONResponse(
            {
                "endpoint": path_of(config.websocket.handler_prefix),
                "token": _token(config, user),
                "example_token": _token(config, USER),
                "example_command": publish_command(config),
                "channel": CHANNEL,
                "version": __version__,
            },
            headers=_headers(),
        )

    async def channel(request: Request) -> Response:
        name = request.query_params.get("name", "")
        return _refuse(request) or JSONResponse(_describe_channel(node, name), headers=_headers())

    async def overview(request: Request) -> Response:
        return _refuse(request) or JSONResponse(describe(node), headers=_headers())

    home = Route("/", _file(*FILES[HOME], may_be_linked=True), methods=["GET"])
    return [
        *(
            Route(path, _file(name, media_type, may_be_linked=path == HOME), methods=["GET"])
            for path, (name, media_type) in FILES.items()
        ),
        Route("/development/session", session, methods=["GET"]),
        Route("/development/channel", channel, methods=["GET"]),
        Route("/development/overview", overview, methods=["GET"]),
        home if directory is None else Mount("/", _own_pages(directory)),
    ]


def describe(node: Node) -> dict[str, Any]:
    """Returns what the page shows of a node: its figures, connections and channels, both up to a bound."""
    clients = node.registry.clients
    channels = node.hub.channels
    return {
        "num_clients": len(clients),
        "num_channels": len(channels),
        "connections": [_describe_connection(client) for client in islice(clients.values(), MAX_CONNECTIONS_SHOWN)],
        "channels": [
            {"subscribers": channel.num_live, **_describe_channel(node, name)}
            for name, channel in islice(channels.items(), MAX_CHANNELS_SHOWN)
        ],
    }


def _describe_channel(node: Node, name: str) -> dict[str, Any]:
    """Returns a channel's name and how the page may watch it.

    `type` is what a subscription to it says, null where the page cannot subscribe. `quiet`: watching it changes nothing
    that others see, as it would where subscribers are keys of a map.
    """
    try:
        options = node.namespaces.options_of(name)
    except ClientError:
        return {"name": name, "type": TYPES["stream"], "quiet": False}
    kind = options.subscription_type
    watchable = kind in ("", "stream", *MAP_TYPES)
    mirrored = options.map_clients_presence_channel_prefix or options.map_users_presence_channel_prefix
    return {"name": name, "type": TYPES[kind] if watchable else None, "quiet": watchable and not mirrored}


def _describe_connection(client: Any) -> dict[str, Any]:
    return {
        "client": client.id,
        "user": client.user,
        "transport": client.transport.encoding.name,
        "channels": list(islice(client.subscriptions, MAX_CHANNELS_SHOWN)),
    }


def _file(name: str, media_type: str, *, may_be_linked: bool) -> Any:
    content = (PAGE / name).read_bytes()

    async def file(request: Request) -> Response:
        refusal = _refuse(request, may_be_linked=may_be_linked)
        return refusal or Response(content, media_type=media_type, headers=_headers(request.headers["host"]))

    return file


def _own_pages(directory: str) -> ASGIApp:
    """Returns an application that serves the files of a directory, always fresh."""
    files = StaticFiles(directory=directory, html=True)

    async def own_pages(scope: Scope, receive: Receive, send: Send) -> None:
        response = _refuse(Request(scope), may_be_linked=True)
        if response is None:
            response = await files.get_response(files.get_path(scope), scope)
            response.headers["Cache-Control"] = "no-cache"
        await response(scope, receive, send)

    return own_pages


def _refuse(request: Request, *, may_be_linked: bool = False) -> Response | None:
    """Returns the answer to who is not a browser on this machine that shows this very page.

    The name in Host is checked as well, or any website could read the page through a name that it lets point here.

    Args:
        request: the request.
        may_be_linked: a page may be opened by a link; what it fetches is fetched by the page alone.
    """
    host = request.headers.get("host", "")
    name, colon, port = host.rpartition(":") if host[-1:] != "]" and ":" in host else (host, "", "")
    site = request.headers.get("sec-fetch-site", "none")
    local = request.client is not None and request.client.host in LOCAL_CLIENTS
    own = may_be_linked or site in ("same-origin", "none")
    if local and own and name.lower() in LOCAL_HOSTS and (port.isdecimal() or not colon):
        return None
    return PlainTextResponse("The development page can be opened on the machine of the server only.\n", 403)


def _headers(host: str = "") -> dict[str, str]:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    if host:
        # Not every browser takes 'self' to mean WebSockets too.
        connect = f"connect-src 'self' ws://{host} wss://{host}"
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; {connect}; "
            "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
    return headers
