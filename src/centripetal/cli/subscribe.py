"""The command that prints the publications of a channel as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from centripetal.config.schema import Config

from .local_tls import local_tls
from .server_api import printable, reachable, read_settings
from .websocket import WebSocketClient, WebSocketClosed, WebSocketFailure

TOKEN_TTL_SECONDS = 24 * 3600


@click.command()
@click.option("-c", "--config", metavar="FILE", help="The server's configuration (default: config.json).")
@click.option("--url", metavar="URL", help="Address, such as ws://localhost:8000/connection/websocket.")
@click.option("--token", metavar="JWT", help="Connection token (default: made with the configuration's HMAC key).")
@click.option("--channel-token", metavar="JWT", help="Subscription token (default: made likewise).")
@click.option("-u", "--user", default="", help="User id for the tokens that are made.")
@click.option("--json", "as_json", is_flag=True, help="Print each publication as one JSON object.")
@click.argument("channel")
def sub(
    config: str | None,
    url: str | None,
    token: str | None,
    channel_token: str | None,
    user: str,
    as_json: bool,
    channel: str,
) -> None:
    """Prints each publication of CHANNEL as it comes, until interrupted.

    If the configuration has an HMAC key, the tokens are made with it, so that any channel can be watched.
    """
    settings = read_settings(config)
    tls = None if url else local_tls(settings, "external")
    url = url or _websocket_url(settings, "ws" if tls is None else "wss")
    if token is None:
        token, made_token = _make_tokens(settings, user, channel)
        channel_token = made_token if channel_token is None else channel_token
    try:
        client = WebSocketClient(url, tls)
    except WebSocketFailure as error:
        raise click.ClickException(f"{url}: {error}") from error
    try:
        for publication in _publications(client, channel, token, channel_token or ""):
            click.echo(_line(publication, channel, as_json))
    except WebSocketClosed as error:
        raise click.ClickException(f"the connection ended: {error.code} {printable(error.reason)}") from error
    finally:
        client.close()


def _websocket_url(config: Config, scheme: str) -> str:
    server = config.http_server
    return f"{scheme}://{reachable(server.address)}:{server.port}{config.websocket.handler_prefix}"


def _make_tokens(config: Config, user: str, channel: str) -> tuple[str, str]:
    from centripetal.auth import TokenSettingsError, sign_connection_token, sign_subscription_token
    from centripetal.interfaces.clock import SystemClock

    client = config.client
    clock = SystemClock()
    try:
        connection = sign_connection_token(client.token, user, TOKEN_TTL_SECONDS, clock)
        subscription = sign_subscription_token(
            client.token, client.subscription_token, user, channel, TOKEN_TTL_SECONDS, clock
        )
    except TokenSettingsError:
        return "", ""  # no key: the server may let us in without
    return connection, subscription


def _publications(client: WebSocketClient, channel: str, token: str, channel_token: str) -> Iterator[dict[str, Any]]:
    connect = {"token": token, "name": "centripetal"} if token else {"name": "centripetal"}
    subscribe = {"channel": channel, "token": channel_token} if channel_token else {"channel": channel}
    client.send(json.dumps({"id": 1, "connect": connect}))
    client.send(json.dumps({"id": 2, "subscribe": subscribe}))
    while True:
        for text in client.receive().splitlines():
            yield from _publications_of(client, text)


def _publications_of(client: WebSocketClient, text: str) -> Iterator[dict[str, Any]]:
    reply = _parsed(text)
    if not reply:
        client.send("{}")
        return
    error = reply.get("error")
    if isinstance(error, dict):
        step = "connecting" if reply.get("id") == 1 else "subscribing"
        raise click.ClickException(f"{step}: error {error.get('code')}: {printable(error.get('message'))}")
    if reply.get("id") == 2:
        result = reply.get("subscribe")
        publications = result.get("publications") if isinstance(result, dict) else None
        yield from publications if isinstance(publications, list) else ()
    push = reply.get("push")
    if not isinstance(push, dict):
        return
    if isinstance(push.get("pub"), dict):
        yield push["pub"]
    if isinstance(push.get("unsubscribe"), dict):
        ended = push["unsubscribe"]
        raise click.ClickException(
            f"the server ended the subscription: {ended.get('code')} {printable(ended.get('reason', ''))}"
        )


def _parsed(text: str) -> dict[str, Any]:
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise click.ClickException("the server sent something else than a reply")
    return reply


def _line(publication: dict[str, Any], channel: str, as_json: bool) -> str:
    if as_json:
        return json.dumps({"channel": channel, **publication})
    parts = []
    if publication.get("offset"):
        parts.append(f"#{publication['offset']}")
    info = publication.get("info")
    if isinstance(info, dict) and info.get("user"):
        parts.append(f"{info['user']}:")
    parts.append(json.dumps(publication.get("data"), ensure_ascii=False))
    return printable(" ".join(parts))
