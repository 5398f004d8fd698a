"""What clients send: one frozen value for each message of the schema, named and spelled as on the wire.

Field names are the JSON names. A missing sub-message is None, an empty one is a value with defaults. Payload fields
are `msgspec.Raw`, a view into the message that was decoded: falsy when absent, `bytes(request.data)` copies it.
"""

from __future__ import annotations

import builtins
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]
"""The upper bound is checked by __post_init__, because constraints of msgspec end at 2^63."""

UINT64_MAX = 2**64 - 1
MAX_TRACK_BATCHES = 1000
NO_DATA = Raw(b"")


class StreamPositionRequest(msgspec.Struct, frozen=True, gc=False):
    """Where a history request starts (wire name `StreamPosition`)."""

    offset: Uint64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        if self.offset > UINT64_MAX:
            raise ValueError("offset is beyond uint64")


class FilterNode(msgspec.Struct, frozen=True, gc=False):
    """A node of a tag filter tree (wire name `FilterNode`).

    Attributes:
        op: empty for a comparison, else `and`, `or`, `not`.
        key: tag that is compared.
        cmp: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`, `gt`, `gte`.
        val: what the tag is compared with.
        vals: list for `in` and `nin`.
        nodes: operands of `op`.
    """

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: tuple[str, ...] = ()
    nodes: tuple[FilterNode, ...] = ()


class SubscribeRequest(msgspec.Struct, frozen=True, gc=False):
    """Subscribe command, and a value of `connect.subs` (wire name `SubscribeRequest`).

    Attributes:
        channel, token: what to subscribe to, and a subscription token.
        recover, epoch, offset: recovery from a position.
        data: for the subscribe proxy.
        positioned, recoverable, join_leave: wishes that need permission.
        delta: `fossil` or empty.
        tf: tag filter tree.
        flag: 1 asks for channel compaction, 2 for error 112 in place of an unrecovered subscription.
        type: 0 stream, 1 map, 2 map of clients, 3 map of users, 4 shared poll.
        phase: of a map subscription: 2 state, 1 stream, 0 live.
        cursor, limit, asc: page of a map's state.
    """

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: Uint64 = 0
    data: Raw = NO_DATA
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: FilterNode | None = None
    flag: Int64 = 0
    type: Int32 = 0
    phase: Int32 = 0
    cursor: str = ""
    limit: Int32 = 0
    asc: bool = False

    def __post_init__(self) -> None:
        if self.offset > UINT64_MAX:
            raise ValueError("offset is beyond uint64")


class ConnectRequest(msgspec.Struct, frozen=True, gc=False):
    """Connect command, the first of a connection (wire name `ConnectRequest`).

    Attributes:
        token: connection token.
        data: for the connect proxy.
        subs: by channel, positions of known server-side subscriptions; the requested ones when unidirectional.
        name, version: of the client software.
        headers: emulated headers, for proxies.
        flag: bits of dictionary compression.
        profile, dict: choice of a compression dictionary.
    """

    token: str = ""
    data: Raw = NO_DATA
    subs: builtins.dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: builtins.dict[str, str] = {}
    flag: Int64 = 0
    profile: str = ""
    dict: str = ""


class UnsubscribeRequest(msgspec.Struct, frozen=True, gc=False):
    """Unsubscribe command (wire name `UnsubscribeRequest`)."""

    channel: str = ""


class PublishRequest(msgspec.Struct, frozen=True, gc=False):
    """Publish command (wire name `PublishRequest`).

    Attributes:
        channel, data: where and what.
        type: 1 for a map operation.
        key: map key.
        removed: deletes the key.
    """

    channel: str = ""
    data: Raw = NO_DATA
    type: Int32 = 0
    key: str = ""
    removed: bool = False


class PresenceRequest(msgspec.Struct, frozen=True, gc=False):
    """Presence command (wire name `PresenceRequest`)."""

    channel: str = ""


class PresenceStatsRequest(msgspec.Struct, frozen=True, gc=False):
    """Presence stats command (wire name `PresenceStatsRequest`)."""

    channel: str = ""


class HistoryRequest(msgspec.Struct, frozen=True, gc=False):
    """History command (wire name `HistoryRequest`).

    Attributes:
        channel: whose history.
        limit: 0 for the position only, negative for as much as the server gives.
        since: start position, None for the stream's start or, reversed, its top.
        reverse: newest first.
    """

    channel: str = ""
    limit: Int32 = 0
    since: StreamPositionRequest | None = None
    reverse: bool = False


class PingRequest(msgspec.Struct, frozen=True, gc=False):
    """Ping command; the server refuses it (wire name `PingRequest`)."""


class SendRequest(msgspec.Struct, frozen=True, gc=False):
    """Asynchronous message, without reply (wire name `SendRequest`)."""

    data: Raw = NO_DATA


class RpcRequest(msgspec.Struct, frozen=True, gc=False):
    """RPC command (wire name `RPCRequest`)."""

    data: Raw = NO_DATA
    method: str = ""


class RefreshRequest(msgspec.Struct, frozen=True, gc=False):
    """Refresh of the connection token (wire name `RefreshRequest`)."""

    token: str = ""


class KeyedItem(msgspec.Struct, frozen=True, gc=False):
    """A key that is tracked, and the version the client has (wire name `KeyedItem`)."""

    key: str = ""
    version: Uint64 = 0

    def __post_init__(self) -> None:
        if self.version > UINT64_MAX:
            raise ValueError("version is beyond uint64")


class TrackBatch(msgspec.Struct, frozen=True, gc=False):
    """Keys under one signature (wire name `TrackBatch`)."""

    signature: str = ""
    items: tuple[KeyedItem, ...] = ()


class SubRefreshRequest(msgspec.Struct, frozen=True, gc=False):
    """Refresh of a subscription token, or a change of tracked keys (wire name `SubRefreshRequest`).

    Attributes:
        channel, token: subscription and its new token.
        type: 0 token refresh, 1 track, 2 untrack.
        track, untrack: keys of a shared poll; at most MAX_TRACK_BATCHES batches.
    """

    channel: str = ""
    token: str = ""
    type: Int32 = 0
    track: Annotated[tuple[TrackBatch, ...], Meta(max_length=MAX_TRACK_BATCHES)] = ()
    untrack: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command of a client (wire name `Command`).

    Attributes:
        id: comes back in the reply; 0 for `send` and for a pong, which is `Command()`.
        others: the requests; the first that is not None in the order of the schema counts.
    """

    id: Uint32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: PingRequest | None = None
    send: SendRequest | None = None
    rpc: RpcRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


class EmulationRequest(msgspec.Struct, frozen=True, gc=False):
    """Body of a request that carries commands of an emulated connection (wire name `EmulationRequest`).

    Attributes:
        node: id of the node that holds the connection.
        session: the connection's secret.
        data: commands, as decode_commands() of the connection's codec takes them.
    """

    node: str = ""
    session: str = ""
    data: bytes = b""


class EmulationText(msgspec.Struct):
    """The JSON form of EmulationRequest, in which the commands are a string."""

    node: str = ""
    session: str = ""
    data: str = ""


PONG = Command()
