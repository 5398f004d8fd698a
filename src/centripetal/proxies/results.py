"""Answers of a backend as they look on the wire.

One set of types serves both protocols: JSON is decoded into them, Protobuf messages are read into them.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Raw, Struct

NO_DATA = Raw(b"")

R = TypeVar("R")
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]


class Error(Struct, frozen=True):
    """The client gets an error reply (wire name `Error`)."""

    code: Uint32 = 0
    message: str = ""
    temporary: bool = False


class DisconnectAdvice(Struct, frozen=True):
    """The client is disconnected (wire name `Disconnect`)."""

    code: Uint32 = 0
    reason: str = ""


class Flag(Struct, frozen=True):
    """A replaced option (wire name `BoolValue`)."""

    value: bool = False


class Override(Struct, frozen=True):
    """Replaced namespace options (wire name `SubscribeOptionOverride`)."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None
    force_push_join_leave: Flag | None = None


class SubscribeResult(Struct, frozen=True):
    """Wire names `SubscribeResult` and, with cache_recover, `SubscribeOptions`."""

    expire_at: Int64 = 0
    info: Raw = NO_DATA
    b64info: str = ""
    data: Raw = NO_DATA
    b64data: str = ""
    override: Override | None = None
    cache_recover: bool = False


class ConnectResult(Struct, frozen=True):
    """Wire name `ConnectResult`."""

    user: str = ""
    expire_at: Int64 = 0
    info: Raw = NO_DATA
    b64info: str = ""
    data: Raw = NO_DATA
    b64data: str = ""
    channels: tuple[str, ...] = ()
    subs: dict[str, SubscribeResult] = {}
    meta: Raw = NO_DATA


class RefreshResult(Struct, frozen=True):
    """Wire name `RefreshResult`."""

    expired: bool = False
    expire_at: Int64 = 0
    info: Raw = NO_DATA
    b64info: str = ""
    meta: Raw = NO_DATA


class RpcResult(Struct, frozen=True):
    """Wire name `RPCResult`."""

    data: Raw = NO_DATA
    b64data: str = ""


class PublishResult(Struct, frozen=True):
    """Wire name `PublishResult`."""

    data: Raw = NO_DATA
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: Uint64 = 0
    version_epoch: str = ""


class MapPublishResult(Struct, frozen=True):
    """Wire name `MapPublishResult`; its `score` and `stream_data` mean nothing, as in the API method."""

    key: str = ""
    data: Raw = NO_DATA
    b64data: str = ""
    tags: dict[str, str] = {}
    key_mode: str = ""
    idempotency_key: str = ""
    delta: bool = False
    version: Uint64 = 0
    version_epoch: str = ""


class MapRemoveResult(Struct, frozen=True):
    """Wire name `MapRemoveResult`."""

    key: str = ""
    tags: dict[str, str] = {}
    idempotency_key: str = ""


class SubRefreshResult(Struct, frozen=True):
    """Wire name `SubRefreshResult`."""

    expired: bool = False
    expire_at: Int64 = 0
    info: Raw = NO_DATA
    b64info: str = ""


class CacheEmptyResult(Struct, frozen=True):
    """Wire name `NotifyCacheEmptyResult`."""

    populated: bool = False


class SharedPollItem(Struct, frozen=True):
    """Wire name `SharedPollRefreshResultItem`."""

    key: str = ""
    data: Raw = NO_DATA
    version: Uint64 = 0
    removed: bool = False
    prev_data: Raw = NO_DATA


class SharedPollRefreshResult(Struct, frozen=True):
    """Wire name `SharedPollRefreshResult`."""

    items: tuple[SharedPollItem, ...] = ()
    epoch: str = ""


class Response(Struct, Generic[R], frozen=True):
    """What a backend answers; a disconnect counts before an error, an error before a result."""

    result: R | None = None
    error: Error | None = None
    disconnect: DisconnectAdvice | None = None
