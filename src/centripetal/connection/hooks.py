"""What a connection tells the application's hooks about itself, and how it takes their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..interfaces import Caller, Forwarded
from ..interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    NOTHING_FORWARDED,
    PUBLISH,
    RPC,
    SUBSCRIBE,
    CacheEmptyEvent,
    ConnectAnswer,
    ConnectEvent,
    Event,
    Hook,
    HookError,
    PublishAnswer,
    PublishEvent,
    RpcEvent,
    SubscribeAnswer,
    SubscribeEvent,
)
from ..interfaces.map_hooks import (
    MAP_PUBLISH,
    MAP_REMOVE,
    MapPublishAnswer,
    MapPublishEvent,
    MapRemoveAnswer,
    MapRemoveEvent,
)
from ..model.errors import ERROR_NOT_AVAILABLE
from ..node.settings import ChannelOptions
from ..protocol.commands import ConnectRequest, PublishRequest, RpcRequest, SubscribeRequest
from .grant import Grant, grant_of

if TYPE_CHECKING:
    from ..node.node import Node
    from .client import Client

Q = TypeVar("Q")
A = TypeVar("A")

GRPC_TRANSPORT = "uni_grpc"
"""The transport whose requests carry metadata, not headers."""


def caller_of(client: Client) -> Caller:
    """Returns what hooks learn of a connection."""
    return Caller(
        client=client.id,
        transport=client.transport.name,
        protocol=client.encoding.codec.name,
        user=client.user,
        meta=client.meta,
        forwarded=client.forwarded,
    )


def forwarded_of(client: Client, request: ConnectRequest) -> Forwarded:
    """Returns what of a connection's request and connect command is kept for hooks."""
    wanted = client.node.hooks.forwarding
    if not (wanted.headers or wanted.metadata or wanted.emulated):
        return NOTHING_FORWARDED
    emulated = _chosen({name.lower(): value for name, value in request.headers.items()}, wanted.emulated)
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    if client.request is not None:
        if client.transport.name == GRPC_TRANSPORT:
            metadata = _chosen(client.request.headers, wanted.metadata)
        else:
            headers = _chosen(client.request.headers, wanted.headers)
    if not (headers or metadata or emulated):
        return NOTHING_FORWARDED
    return Forwarded(headers, metadata, emulated)


def _chosen(values: dict[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in names} if names and values else {}


def find(client: Client, event: Event[Q, A], name: str) -> Hook[Q, A]:
    """Returns the hook that a namespace names.

    Raises:
        ClientError: 108, there is none.
    """
    hook = client.node.hooks.find(event, name)
    if hook is None:
        raise ERROR_NOT_AVAILABLE
    return hook


async def ask_to_connect(client: Client, request: ConnectRequest) -> ConnectAnswer | None:
    """Asks who a client without a token is; None if nobody knows or nobody is there to ask.

    Raises:
        ClientError, Disconnect: the application's refusal.
        HookError: it could not be asked.
    """
    hook = client.node.hooks.find(CONNECT)
    if hook is None:
        return None
    event = ConnectEvent(
        caller=caller_of(client),
        data=bytes(request.data),
        name=request.name,
        version=request.version,
        channels=tuple(request.subs),
    )
    return await hook(event)


async def ask_to_subscribe(client: Client, request: SubscribeRequest, options: ChannelOptions) -> SubscribeAnswer:
    """Asks whether a client may subscribe; raises as ask_to_connect(), and ClientError 108 without a hook."""
    hook = find(client, SUBSCRIBE, options.subscribe_proxy_name)
    event = SubscribeEvent(
        caller=caller_of(client), channel=request.channel, token=request.token, data=bytes(request.data)
    )
    return await hook(event) or SubscribeAnswer()


async def ask_to_publish(client: Client, request: PublishRequest, options: ChannelOptions) -> PublishAnswer:
    """Asks whether a client may publish; raises as ask_to_subscribe()."""
    hook = find(client, PUBLISH, options.publish_proxy_name)
    event = PublishEvent(caller=caller_of(client), channel=request.channel, data=bytes(request.data))
    return await hook(event) or PublishAnswer()


async def ask_to_write(client: Client, request: PublishRequest, options: ChannelOptions) -> MapPublishAnswer:
    """Asks whether a client may write a key of a map; raises as ask_to_subscribe()."""
    hook = find(client, MAP_PUBLISH, options.map.publish_proxy_name)
    event = MapPublishEvent(
        caller=caller_of(client), channel=request.channel, key=request.key, data=bytes(request.data)
    )
    return await hook(event) or MapPublishAnswer()


async def ask_to_remove(client: Client, request: PublishRequest, options: ChannelOptions) -> MapRemoveAnswer:
    """Asks whether a client may remove a key of a map; raises as ask_to_subscribe()."""
    hook = find(client, MAP_REMOVE, options.map.remove_proxy_name)
    event = MapRemoveEvent(caller=caller_of(client), channel=request.channel, key=request.key)
    return await hook(event) or MapRemoveAnswer()


async def call(client: Client, request: RpcRequest, name: str) -> bytes:
    """Calls a method of the application; raises as ask_to_subscribe()."""
    hook = find(client, RPC, name)
    answer = await hook(RpcEvent(caller=caller_of(client), method=request.method, data=bytes(request.data)))
    return answer.data if answer is not None else b""


async def ask_to_fill(node: Node, channel: str, name: str) -> bool:
    """Tells that a channel in cache mode has no publication; returns whether it has one now."""
    hook = node.hooks.find(CACHE_EMPTY, name)
    if hook is None:
        return False
    try:
        answer = await hook(CacheEmptyEvent(channel=channel))
    except HookError:
        return False
    return answer is not None and answer.populated


def granted(options: ChannelOptions, history_meta_ttl_seconds: float, answer: SubscribeAnswer) -> Grant:
    """Returns what a namespace gives a subscription that a hook has allowed."""
    grant = grant_of(options, history_meta_ttl_seconds, answer.overrides)
    return msgspec.structs.replace(
        grant,
        expire_at=max(answer.expire_at, 0),
        info=answer.info,
        data=answer.data,
        auto_cache_recover=grant.auto_cache_recover or (answer.cache_recover and grant.recoverable and grant.cache),
    )
