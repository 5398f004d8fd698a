"""The command `connect`: who the client is, its server-side subscriptions, the reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..interfaces import BrokerError, ConnectionClaims, HookError, PresenceError, TokenExpired, TokenInvalid
from ..interfaces.hooks import REFRESH, ConnectAnswer
from ..model import ClientError, Disconnect
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_CHANNEL_LIMIT,
    DISCONNECT_CONNECTION_CLOSED,
    DISCONNECT_CONNECTION_LIMIT,
    DISCONNECT_INVALID_TOKEN,
    DISCONNECT_PERMISSION_DENIED,
    DISCONNECT_SERVER_ERROR,
    DISCONNECT_SHUTDOWN,
    ERROR_EXPIRED,
    ERROR_TOKEN_EXPIRED,
    ERROR_UNKNOWN_CHANNEL,
    forget_traceback,
)
from ..node.counters import client_labels
from ..node.eager import run_eagerly
from ..protocol.commands import ConnectRequest, SubscribeRequest
from ..protocol.results import ConnectPush, ConnectResult
from . import duties
from .establish import Making
from .grant import Grant, grant_of
from .hooks import ask_to_connect, forwarded_of, granted
from .server_side import MAX_TTL_SECONDS
from .state import ACCEPTED, CLOSED, CONNECTED, CONNECTING, UNUSABLE
from .subscribe import may_subscribe
from .subscription import SERVER_SIDE

if TYPE_CHECKING:
    from .client import Client


async def connect(client: Client, request: ConnectRequest, command_id: int) -> None:
    """Handles the command `connect`.

    Raises:
        ClientError: 102, 109, 110 or the application's; nothing but a close follows for this connection.
        Disconnect: 3001, 3004, 3500, 3501, 3504, 3505, 3507 or the application's.
        HookError: the application cannot be asked.
    """
    client.state = CONNECTING
    try:
        if client.node.stopping:
            raise DISCONNECT_SHUTDOWN
        admission = await authenticate(client, request)
        await accept(client, request, command_id, admission)
    except (ClientError, HookError):
        if client.state != CLOSED:
            leave(client)
            client.state = UNUSABLE
        raise


def leave(client: Client) -> None:
    """Takes a client whose subscriptions failed out of the node again."""
    if client.state == ACCEPTED:
        client.node.registry.remove(client)
        client.node.counters.connections_inflight[(client.transport.name, *client.labels)] -= 1


class Admission(NamedTuple):
    """What a client that may connect is given.

    Attributes:
        grants: its server-side subscriptions, by channel.
        data: for the client.
    """

    grants: dict[str, Grant]
    data: bytes


async def authenticate(client: Client, request: ConnectRequest) -> Admission:
    """Finds out who the client is: from its token, from the application, by what is allowed without, or from a header.

    Raises:
        ClientError, Disconnect: it may not connect.
        HookError: the application cannot be asked.
    """
    node, settings = client.node, client.node.client
    grants: dict[str, Grant] = {}
    data = b""
    known = False
    client.forwarded = forwarded_of(client, request)
    client.client_side_refresh = node.hooks.find(REFRESH) is None
    if request.token:
        claims = await verify(client, request.token)
        if not claims.user and settings.disallow_anonymous_connection_tokens:
            raise DISCONNECT_PERMISSION_DENIED
        client.user, client.info, client.meta = claims.user, claims.info, claims.meta
        now = int(node.clock.time())
        client.expire_at = 0 if settings.insecure else min(claims.expire_at, now + MAX_TTL_SECONDS)
        grants = token_grants(client, claims)
        known = True
    elif (answer := await ask_to_connect(client, request)) is not None:
        client.user, client.info, client.meta = answer.user, answer.info, answer.meta
        client.expire_at = max(min(answer.expire_at, int(node.clock.time()) + MAX_TTL_SECONDS), 0)
        grants, data = answer_grants(client, answer), answer.data
        await add_personal_channel(client, grants)
    elif settings.allow_anonymous_connect_without_token or settings.insecure:
        known = True
    elif not identify_by_header(client):
        raise DISCONNECT_BAD_REQUEST
    if known:
        await add_personal_channel(client, grants)
        add_requested(client, request, grants)
    await check_limits(client, grants)
    return Admission(grants, data)


async def check_limits(client: Client, grants: dict[str, Grant]) -> None:
    """Checks a client that is known by now.

    Raises:
        ClientError: 110, it has expired.
        Disconnect: 3504 or 3505, too many connections or channels.
    """
    node, settings = client.node, client.node.client
    limit = settings.channel_limit
    if 0 < limit < len(grants):
        raise DISCONNECT_CHANNEL_LIMIT
    user_limit = settings.user_connection_limit
    if client.user and user_limit > 0 and await count_connections(client) >= user_limit:
        raise DISCONNECT_CONNECTION_LIMIT
    if 0 < client.expire_at < int(node.clock.time()):
        raise ERROR_EXPIRED


async def count_connections(client: Client) -> int:
    """Returns how many connections of the client's user come before it.

    Raises:
        Disconnect: 3004, other processes of this server cannot be asked.
    """
    try:
        return await client.node.census.connections_before(client.user)
    except BrokerError as error:
        raise DISCONNECT_SERVER_ERROR from error


async def verify(client: Client, token: str) -> ConnectionClaims:
    """Returns the claims of a connection token.

    Raises:
        ClientError: 109, expired.
        Disconnect: 3500, invalid.
    """
    tokens = client.node.tokens
    if tokens is None:
        raise DISCONNECT_INVALID_TOKEN
    try:
        return await tokens.verify_connection(token)
    except TokenExpired:
        raise ERROR_TOKEN_EXPIRED from None
    except TokenInvalid:
        raise DISCONNECT_INVALID_TOKEN from None


def identify_by_header(client: Client) -> bool:
    """Takes the user id from the trusted request header `client.user_id_http_header`, if that is how it is done."""
    header = client.node.client.user_id_http_header
    user = client.request.headers.get(header.lower(), "") if header and client.request is not None else ""
    client.user = user
    return bool(user)


def token_grants(client: Client, claims: ConnectionClaims) -> dict[str, Grant]:
    """Returns the subscriptions that a connection token asks for (`subs`, `channels`).

    Raises:
        ClientError: 102, unknown namespace.
    """
    namespaces = client.node.namespaces
    grants: dict[str, Grant] = {}
    for channel, wanted in claims.subscriptions.items():
        rules = namespaces.rules_of(channel)
        grant = grant_of(rules.options, rules.history_meta_ttl_seconds, wanted.overrides)
        grants[channel] = msgspec.structs.replace(
            grant, info=wanted.info, data=wanted.data, from_connection_token=True
        )
    return grants


def answer_grants(client: Client, answer: ConnectAnswer) -> dict[str, Grant]:
    """Returns the subscriptions that the application asks for (`channels`, `subs`).

    Raises:
        ClientError: 102, unknown namespace.
    """
    namespaces = client.node.namespaces
    grants: dict[str, Grant] = {}
    for channel in answer.channels:
        rules = namespaces.rules_of(channel)
        grants[channel] = grant_of(rules.options, rules.history_meta_ttl_seconds, None)
    for channel, allowed in answer.subs.items():
        rules = namespaces.rules_of(channel)
        grants[channel] = granted(rules.options, rules.history_meta_ttl_seconds, allowed)
    return grants


async def add_personal_channel(client: Client, grants: dict[str, Grant]) -> None:
    """Adds the user's personal channel (`client.subscribe_to_user_personal_channel`).

    Raises:
        ClientError: 102, its namespace does not exist.
        Disconnect: 3004, presence cannot be read.
    """
    node, settings = client.node, client.node.client.subscribe_to_user_personal_channel
    if not settings.enabled or not client.user:
        return
    channel = node.namespaces.personal_channel(client.user, settings.personal_channel_namespace)
    if settings.single_connection:
        try:
            present = await node.presence_stats(channel)
        except PresenceError as error:
            raise DISCONNECT_SERVER_ERROR from error
        if present.num_clients:
            await node.disconnect_user(client.user, DISCONNECT_CONNECTION_LIMIT, whitelist=(client.id,))
    rules = node.namespaces.rules_of(channel)
    grants[channel] = grant_of(rules.options, rules.history_meta_ttl_seconds, None)


def add_requested(client: Client, request: ConnectRequest, grants: dict[str, Grant]) -> None:
    """Adds channels of `connect.subs` that the client could subscribe to by itself; others are passed over.

    Raises:
        Disconnect: 3501, unknown namespace.
    """
    namespaces = client.node.namespaces
    for channel in request.subs:
        try:
            rules = namespaces.rules_of(channel)
        except ClientError as error:
            if error.code != ERROR_UNKNOWN_CHANNEL.code:
                raise
            forget_traceback(error)
            raise DISCONNECT_BAD_REQUEST from None
        if channel and channel not in grants and may_have(client, channel):
            grants[channel] = grant_of(rules.options, rules.history_meta_ttl_seconds, None)


def may_have(client: Client, channel: str) -> bool:
    """Whether a channel of `connect.subs` is one that the client may subscribe to."""
    namespaces = client.node.namespaces
    options = namespaces.options_of(channel)
    if namespaces.is_private(channel) or not namespaces.is_valid_name(channel):
        return False
    if options.subscribe_proxy_enabled or options.subscribe_stream_proxy_enabled:
        return False
    limited = options.allow_user_limited_channels and namespaces.is_user_limited(channel)
    if limited and client.user and namespaces.lists_user(channel, client.user):
        return True
    return (may_subscribe(client, options) and not limited) or client.node.client.insecure


async def accept(client: Client, request: ConnectRequest, command_id: int, admission: Admission) -> None:
    """Makes the connection part of the node, subscribes it, answers, and starts its clockwork."""
    node, transport = client.node, client.transport
    client.state = ACCEPTED
    client.labels = client_labels(request.name, request.version)
    node.registry.add(client)
    node.counters.actions["add_client"] += 1
    node.counters.connections_accepted[(transport.name, *client.labels)] += 1
    node.counters.connections_inflight[(transport.name, *client.labels)] += 1
    makings = await make_all(client, request, admission.grants) if admission.grants else []
    client.state = CONNECTED
    result = connect_result(client, makings, admission.data)
    if client.encoding.unidirectional:
        client.push("connect", "", connect_push(result))
    else:
        client.reply(command_id, "connect", result)
    duties.begin(client)
    client.request = None
    for making in makings:
        making.go_live()
    for making in makings:
        await making.announce()


async def make_all(client: Client, request: ConnectRequest, grants: dict[str, Grant]) -> list[Making]:
    """Makes the server-side subscriptions, side by side where they have to wait.

    Raises:
        ClientError, Disconnect: one of them failed; none is left.
    """
    makings: list[Making] = []
    failures: list[BaseException] = []
    waiting: list[asyncio.Task[None]] = []
    for channel, grant in grants.items():
        asked = request.subs.get(channel) or SubscribeRequest()
        wanted = SubscribeRequest(
            channel=channel, recover=asked.recover, offset=asked.offset, epoch=asked.epoch, delta=asked.delta
        )
        try:
            making = Making(client, channel, wanted, grant, SERVER_SIDE)
            makings.append(making)
            done, task = run_eagerly(making.make(buffer=True))
        except (ClientError, Disconnect) as failure:
            failures.append(failure)
            break
        if not done:
            assert isinstance(task, asyncio.Task)
            waiting.append(task)
    if waiting:
        try:
            results = await asyncio.gather(*waiting, return_exceptions=True)
        except asyncio.CancelledError:
            for making in makings:
                making.abandon()
            raise
        failures += [result for result in results if isinstance(result, BaseException)]
    if failures or client.state == CLOSED:
        for making in makings:
            making.abandon()
        failures.sort(key=lambda failure: not isinstance(failure, Disconnect))
        raise failures[0] if failures else DISCONNECT_CONNECTION_CLOSED
    return makings


def connect_result(client: Client, makings: list[Making], data: bytes) -> ConnectResult:
    """Returns the result of connect (wire name `ConnectResult`)."""
    node, transport = client.node, client.transport
    expires = client.expire_at > 0 and client.client_side_refresh
    interval = 0.0 if transport.frame_ping_pong else transport.ping_interval_seconds
    unidirectional = client.encoding.unidirectional
    return ConnectResult(
        client=client.id,
        version=node.version,
        expires=expires,
        ttl=int(client.expire_at - int(node.clock.time())) if expires else 0,
        data=data,
        subs={making.name: making.result for making in makings},
        ping=int(interval) if interval > 0 else 0,
        pong=interval > 0 and transport.pong_timeout_seconds > 0 and not unidirectional,
        session=client.session,
        node=node.public_id if transport.emulated else "",
        time=int(node.clock.time() * 1000) if node.client.connect_include_server_time else 0,
    )


def connect_push(result: ConnectResult) -> ConnectPush:
    """Returns the push that a unidirectional client gets in place of a reply (wire name `Connect`)."""
    return ConnectPush(**{name: getattr(result, name) for name in ConnectPush.__struct_fields__})
