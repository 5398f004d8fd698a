"""What the server sends: results of commands and bodies of pushes, named and spelled as on the wire.

Payload fields are bytes: JSON text for JSON clients, anything for Protobuf clients, empty when there is none.
Zero values stay off the wire, except those of presence, presence stats and history in JSON.
"""

from __future__ import annotations

import builtins

import msgspec

from ..model import ClientInfo, Publication


class PublicationEntry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A publication inside a result.

    Attributes:
        publication: what was published.
        fossil: the subscriber negotiated delta.
        patch: Fossil patch against the entry before (of the same key, in a map), None for full data.
        encoded: what the codec's encode_entry() returned, so that a long list can be encoded piece by piece.
    """

    publication: Publication
    fossil: bool = False
    patch: bytes | None = None
    encoded: bytes | None = None


class SubscribeResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of subscribe, and a value of `connect.subs` (wire name `SubscribeResult`).

    Attributes:
        expires, ttl: of the subscription; seconds.
        recoverable, positioned, epoch, offset: stream position.
        publications, recovered, was_recovering: what recovery gave.
        data: from the proxy or token.
        delta: patches were negotiated.
        id: channel number for compaction.
        type, phase, cursor, state: of map and shared poll subscriptions.
        publish_debounce: milliseconds.
    """

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[PublicationEntry] = []
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: bytes = b""
    was_recovering: bool = False
    delta: bool = False
    id: int = 0
    type: int = 0
    phase: int = 0
    cursor: str = ""
    state: list[PublicationEntry] = []
    publish_debounce: int = 0


class Dictionary(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A dictionary for frame compression (wire name `Dictionary`)."""

    id: str = ""
    data: bytes = b""
    data_b64: str = ""


class ConnectResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of connect (wire name `ConnectResult`).

    Attributes:
        client: connection id.
        version: of the server.
        expires, ttl: the client must refresh its token in so many seconds.
        data: from the proxy or token.
        subs: server-side subscriptions by channel.
        ping: seconds between the server's pings.
        pong: the client must answer pings.
        session, node: where emulated commands go.
        time: server's Unix milliseconds.
        flag, dict: dictionary compression.
    """

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0
    data: bytes = b""
    subs: builtins.dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0
    flag: int = 0
    dict: Dictionary | None = None


class UnsubscribeResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of unsubscribe (wire name `UnsubscribeResult`)."""


class PublishResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of publish (wire name `PublishResult`)."""


class PresenceResult(msgspec.Struct, frozen=True, gc=False):
    """Result of presence, by connection id (wire name `PresenceResult`)."""

    presence: dict[str, ClientInfo] = {}


class PresenceStatsResult(msgspec.Struct, frozen=True, gc=False):
    """Result of presence stats (wire name `PresenceStatsResult`)."""

    num_clients: int = 0
    num_users: int = 0


class HistoryResult(msgspec.Struct, frozen=True, gc=False):
    """Result of history (wire name `HistoryResult`)."""

    publications: list[PublicationEntry] = []
    epoch: str = ""
    offset: int = 0


class PingResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of ping (wire name `PingResult`)."""


class RpcResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of rpc (wire name `RPCResult`)."""

    data: bytes = b""


class RefreshResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of refresh (wire name `RefreshResult`); ttl in seconds."""

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Result of sub_refresh (wire name `SubRefreshResult`); ttl in seconds, items of tracked keys."""

    expires: bool = False
    ttl: int = 0
    items: list[PublicationEntry] = []


class Join(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `join`: who came (wire name `Join`)."""

    info: ClientInfo


class Leave(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `leave`: who went (wire name `Leave`)."""

    info: ClientInfo


class Unsubscribe(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `unsubscribe`: the server ended a subscription (wire name `Unsubscribe`)."""

    code: int = 0
    reason: str = ""


class Subscribe(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `subscribe`: the server made a subscription (wire name `Subscribe`)."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: bytes = b""


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `message`: data for this connection (wire name `Message`)."""

    data: bytes = b""


class ConnectPush(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `connect`, the first of a unidirectional connection (wire name `Connect`); attributes of ConnectResult."""

    client: str = ""
    version: str = ""
    data: bytes = b""
    subs: dict[str, SubscribeResult] = {}
    expires: bool = False
    ttl: int = 0
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0


class DisconnectPush(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `disconnect`, the last one (wire name `Disconnect`)."""

    code: int = 0
    reason: str = ""
    reconnect: bool = False


class RefreshPush(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Push `refresh`: the connection's new expiry (wire name `Refresh`); ttl in seconds."""

    expires: bool = False
    ttl: int = 0
