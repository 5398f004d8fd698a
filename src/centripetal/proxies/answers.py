"""Answers of a backend: what is accepted of them, and what they mean.

The backend is not trusted: whatever is of a wrong type (see results), out of range or not decodable is a HookError.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..interfaces import HookError, KeyMode, SubscriptionOverrides
from ..interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    PUBLISH,
    REFRESH,
    RPC,
    SHARED_POLL_REFRESH,
    SUB_REFRESH,
    SUBSCRIBE,
    SUBSCRIBE_STREAM,
    CacheEmptyAnswer,
    ConnectAnswer,
    Event,
    PublishAnswer,
    RefreshAnswer,
    RpcAnswer,
    SubRefreshAnswer,
    SubscribeAnswer,
)
from ..interfaces.map_hooks import MAP_PUBLISH, MAP_REMOVE, MapPublishAnswer, MapRemoveAnswer
from ..interfaces.shared_poll import PolledItem, SharedPollRefreshAnswer
from ..model import ClientError, Disconnect
from ..protocol.commands import UINT64_MAX
from .results import (
    NO_DATA,
    CacheEmptyResult,
    ConnectResult,
    DisconnectAdvice,
    Error,
    MapPublishResult,
    MapRemoveResult,
    Override,
    PublishResult,
    RefreshResult,
    Response,
    RpcResult,
    SharedPollRefreshResult,
    SubRefreshResult,
    SubscribeResult,
)

MAX_REASON_BYTES = 123
"""What fits into the close frame of a WebSocket."""

MAX_SUBSCRIPTIONS = 4096
"""An answer to connect with more is a failure, as is a token."""

ERROR_CODES = range(100, 5000)
DISCONNECT_CODES = range(3000, 5000)
"""Codes that clients understand; those of applications are meant to be 400–1999 and 4000–4999."""

KEY_MODES: dict[str, KeyMode] = {"": "", "if_new": "if_new", "if_exists": "if_exists"}
"""Values of `key_mode`."""


def payload(raw: Raw, encoded: str) -> bytes:
    """Returns a value that comes as JSON (`data`, `info`) or as Base64 (`b64data`, `b64info`), which wins.

    Raises:
        HookError: the Base64 is wrong.
    """
    if not encoded:
        return bytes(raw)
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raise HookError("the answer holds Base64 that cannot be decoded") from None


def _overrides(override: Override | None) -> SubscriptionOverrides | None:
    if override is None:
        return None
    values = {name: getattr(override, name) for name in Override.__struct_fields__}
    return SubscriptionOverrides(**{name: flag.value for name, flag in values.items() if flag is not None})


def _connect(result: ConnectResult) -> ConnectAnswer:
    if len(result.channels) + len(result.subs) > MAX_SUBSCRIPTIONS:
        raise HookError(f"the answer has more than {MAX_SUBSCRIPTIONS} subscriptions")
    return ConnectAnswer(
        user=result.user,
        expire_at=result.expire_at,
        info=payload(result.info, result.b64info),
        data=payload(result.data, result.b64data),
        channels=result.channels,
        subs={channel: subscribe_answer(options) for channel, options in result.subs.items()},
        meta=bytes(result.meta),
    )


def subscribe_answer(result: SubscribeResult) -> SubscribeAnswer:
    """Returns what a result allows; raises as payload()."""
    return SubscribeAnswer(
        expire_at=result.expire_at,
        info=payload(result.info, result.b64info),
        data=payload(result.data, result.b64data),
        overrides=_overrides(result.override),
        cache_recover=result.cache_recover,
    )


def _refresh(result: RefreshResult) -> RefreshAnswer:
    info = payload(result.info, result.b64info)
    return RefreshAnswer(expired=result.expired, expire_at=result.expire_at, info=info, meta=bytes(result.meta))


def _sub_refresh(result: SubRefreshResult) -> SubRefreshAnswer:
    info = payload(result.info, result.b64info)
    return SubRefreshAnswer(expired=result.expired, expire_at=result.expire_at, info=info)


def _data_to_publish(result: PublishResult | MapPublishResult) -> bytes | None:
    """Returns what is published in place of what the client sent, None for that itself. Here the JSON wins."""
    return bytes(result.data) or (payload(NO_DATA, result.b64data) if result.b64data else None)


def _version(version: int) -> int:
    if version > UINT64_MAX:
        raise HookError("the answer holds a version beyond 64 bits")
    return version


def _publish(result: PublishResult) -> PublishAnswer:
    return PublishAnswer(
        data=_data_to_publish(result),
        skip_history=result.skip_history,
        tags=result.tags,
        idempotency_key=result.idempotency_key,
        delta=result.delta,
        version=_version(result.version),
        version_epoch=result.version_epoch,
    )


def _map_publish(result: MapPublishResult) -> MapPublishAnswer:
    key_mode = KEY_MODES.get(result.key_mode)
    if key_mode is None:
        raise HookError("the answer holds a key_mode that does not exist")
    return MapPublishAnswer(
        key=result.key,
        data=_data_to_publish(result),
        key_mode=key_mode,
        tags=result.tags,
        idempotency_key=result.idempotency_key,
        delta=result.delta,
        version=_version(result.version),
        version_epoch=result.version_epoch,
    )


def _map_remove(result: MapRemoveResult) -> MapRemoveAnswer:
    return MapRemoveAnswer(key=result.key, tags=result.tags, idempotency_key=result.idempotency_key)


def _shared_poll(result: SharedPollRefreshResult) -> SharedPollRefreshAnswer:
    return SharedPollRefreshAnswer(
        items=tuple(
            PolledItem(
                key=item.key,
                data=bytes(item.data),
                version=_version(item.version),
                removed=item.removed,
                prev_data=bytes(item.prev_data),
            )
            for item in result.items
        ),
        epoch=result.epoch,
    )


class Wire(Struct, frozen=True):
    """How one event is asked and answered on the wire.

    Attributes:
        rpc: method of the gRPC service; empty where it is a stream (see grpc_stream).
        request: message of the gRPC request.
        result: type of `result`.
        answer: makes a hook's answer of a result.
        names_user: `user` is in every JSON request, also when empty.
    """

    rpc: str
    request: str
    result: type[Any]
    answer: Callable[[Any], Any]
    names_user: bool = True


WIRE: dict[str, Wire] = {
    CONNECT.name: Wire("Connect", "ConnectRequest", ConnectResult, _connect, False),
    REFRESH.name: Wire("Refresh", "RefreshRequest", RefreshResult, _refresh),
    RPC.name: Wire("RPC", "RPCRequest", RpcResult, lambda result: RpcAnswer(data=payload(result.data, result.b64data))),
    SUBSCRIBE.name: Wire("Subscribe", "SubscribeRequest", SubscribeResult, subscribe_answer),
    SUBSCRIBE_STREAM.name: Wire("", "SubscribeRequest", SubscribeResult, lambda stream: stream),
    PUBLISH.name: Wire("Publish", "PublishRequest", PublishResult, _publish),
    MAP_PUBLISH.name: Wire("MapPublish", "MapPublishRequest", MapPublishResult, _map_publish),
    MAP_REMOVE.name: Wire("MapRemove", "MapRemoveRequest", MapRemoveResult, _map_remove),
    SUB_REFRESH.name: Wire("SubRefresh", "SubRefreshRequest", SubRefreshResult, _sub_refresh),
    CACHE_EMPTY.name: Wire(
        "NotifyCacheEmpty", "NotifyCacheEmptyRequest", CacheEmptyResult,
        lambda result: CacheEmptyAnswer(populated=result.populated), False,
    ),
    SHARED_POLL_REFRESH.name: Wire(
        "SharedPollRefresh", "SharedPollRefreshRequest", SharedPollRefreshResult, _shared_poll, False
    ),
}  # fmt: skip
"""By event."""


def answer_of(event: Event[Any, Any], response: Response[Any]) -> Any:
    """Returns a hook's answer, None without a result.

    Raises:
        ClientError, Disconnect: the backend wants the client to get them.
        HookError: a code or value makes no sense.
    """
    if event.obeys_errors:
        if response.disconnect is not None:
            raise disconnect_of(response.disconnect)
        if response.error is not None:
            raise error_of(response.error)
    return None if response.result is None else WIRE[event.name].answer(response.result)


def error_of(error: Error) -> ClientError:
    """Returns the error reply that a backend wants.

    Raises:
        HookError: the code is none.
    """
    if error.code not in ERROR_CODES:
        raise HookError(f"the answer holds the error code {error.code}, which is not in 100–4999")
    return ClientError(error.code, error.message, error.temporary)


def disconnect_of(disconnect: DisconnectAdvice) -> Disconnect:
    """Returns the disconnect that a backend wants; a longer reason than a close frame has room for is cut.

    Raises:
        HookError: the code is none.
    """
    if disconnect.code not in DISCONNECT_CODES:
        raise HookError(f"the answer holds the disconnect code {disconnect.code}, which is not in 3000–4999")
    reason = disconnect.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return Disconnect(disconnect.code, reason)


def response_type(event: Event[Any, Any]) -> Any:
    """Returns the type of whole answers of an event."""
    generic: Any = Response
    return generic[WIRE[event.name].result]


def describe_mismatch(error: msgspec.ValidationError) -> str:
    """Returns where an answer has a wrong type; the library's own text may quote values."""
    _, found, path = str(error).rpartition(" - at ")
    return f"the answer has a wrong type at {path[:64]}" if found else "the answer is not an object"
