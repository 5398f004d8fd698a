"""What callers of the server API send: one type per method, named like the wire's messages.

A field with JSON `null` is the same as an absent one, so every field may be None; methods take None for the zero value.
Payloads stay raw JSON text. Unknown fields are ignored.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]
"""Without its upper bound, which msgspec cannot express; see MAX_UINT64."""

MAX_UINT64 = 2**64 - 1
"""Methods refuse a larger Uint64 with error 107."""


class Request(msgspec.Struct, kw_only=True, gc=False):
    """Any request."""


class StreamPositionRequest(Request):
    """A place in a stream (wire name `StreamPosition`)."""

    offset: Uint64 | None = 0
    epoch: str | None = ""


class PublicationRequest(Request):
    """What publish and broadcast have in common.

    Attributes:
        data: payload as JSON text.
        b64data: payload in Base64; counts instead of data when it is not empty.
        skip_history: deliver without storing.
        tags: string pairs stored with the publication.
        idempotency_key: a second publish with it gives the first one's result.
        delta: subscribers may get a patch.
        version: publish only if it is above the stored version; 0 for always.
        version_epoch: versions of different epochs are not compared.
    """

    data: Raw = Raw()
    b64data: str | None = ""
    skip_history: bool | None = False
    tags: dict[str, str | None] | None = None
    idempotency_key: str | None = ""
    delta: bool | None = False
    version: Uint64 | None = 0
    version_epoch: str | None = ""


class PublishRequest(PublicationRequest):
    """Publishes to one channel."""

    channel: str | None = ""


class BroadcastRequest(PublicationRequest):
    """Publishes the same to several channels."""

    channels: list[str | None] | None = None


class UserRequest(Request):
    """What the methods about connections of a user have in common.

    Attributes:
        user: whose connections; empty for anonymous ones.
        client: only this connection.
        session: only the connection of this session.
        label_filter: only connections whose labels match; not available yet.
        all_users: connections of everybody; not available yet.
    """

    user: str | None = ""
    client: str | None = ""
    session: str | None = ""
    label_filter: dict[str, Raw] | None = None
    all_users: bool | None = False


class BoolValue(Request):
    """A flag that can be absent."""

    value: bool | None = False


class SubscribeOptionOverride(Request):
    """Namespace options replaced for one subscription; an object without `value` means false."""

    presence: BoolValue | None = None
    join_leave: BoolValue | None = None
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None
    force_push_join_leave: BoolValue | None = None


class SubscribeRequest(UserRequest):
    """Subscribes connections of a user on the server's side."""

    channel: str | None = ""
    expire_at: Int64 | None = 0
    info: Raw = Raw()
    b64info: str | None = ""
    data: Raw = Raw()
    b64data: str | None = ""
    recover_since: StreamPositionRequest | None = None
    override: SubscribeOptionOverride | None = None


class UnsubscribeRequest(UserRequest):
    """Ends subscriptions of a user; an empty channel stands for all."""

    channel: str | None = ""


class DisconnectCode(Request):
    """Close code and reason of the caller's own (wire name `Disconnect`)."""

    code: Uint32 | None = 0
    reason: str | None = ""


class DisconnectRequest(UserRequest):
    """Ends connections of a user, but for the client ids in `whitelist`."""

    disconnect: DisconnectCode | None = None
    whitelist: list[str | None] | None = None


class RefreshRequest(UserRequest):
    """Gives connections of a user a new expiry or ends them."""

    expired: bool | None = False
    expire_at: Int64 | None = 0
    info: Raw = Raw()


class ChannelRequest(Request):
    """A request about one channel (presence, presence_stats, history_remove)."""

    channel: str | None = ""


class HistoryRequest(ChannelRequest):
    """Reads a stream: limit 0 gives its position only, a negative one everything."""

    limit: Int32 | None = 0
    since: StreamPositionRequest | None = None
    reverse: bool | None = False


class InfoRequest(Request):
    """Asks about the nodes."""


class MapPublishRequest(Request):
    """Writes a key of a map.

    Attributes:
        channel, key: which.
        data: its value as JSON text.
        b64data: the value in Base64; counts instead of data when it is not empty.
        tags: string pairs stored with the key.
        idempotency_key: a second write or removal with it gives the first one's result.
        delta: subscribers may get a patch.
        version: write only if it is above the key's version; 0 for always. Needs a map with a stream.
        version_epoch: versions of different epochs are not compared.
        key_mode: `if_new`, `if_exists`, or empty to write in any case.
        stream_data, b64stream_data, score: part of the schema and without effect, as in the reference.
    """

    channel: str | None = ""
    key: str | None = ""
    data: Raw = Raw()
    b64data: str | None = ""
    tags: dict[str, str | None] | None = None
    idempotency_key: str | None = ""
    delta: bool | None = False
    version: Uint64 | None = 0
    version_epoch: str | None = ""
    key_mode: str | None = ""
    stream_data: Raw = Raw()
    b64stream_data: str | None = ""
    score: Int64 | None = 0


class MapRemoveRequest(Request):
    """Removes a key of a map."""

    channel: str | None = ""
    key: str | None = ""
    idempotency_key: str | None = ""


class MapReadStateRequest(ChannelRequest):
    """Reads a page of a map's state: limit 0 gives its position only, a negative one everything.

    Attributes:
        cursor: from the page before; empty for the first.
        limit: keys of a page.
        key: reads this key only.
        asc: lowest score first, in an ordered map.
        revision_offset, revision_epoch: the read fails unless the map is still in this epoch.
    """

    cursor: str | None = ""
    limit: Int32 | None = 0
    key: str | None = ""
    asc: bool | None = False
    revision_offset: Uint64 | None = 0
    revision_epoch: str | None = ""


class MapReadStreamRequest(ChannelRequest):
    """Reads a map's changes: limit 0 gives its position only, a negative one everything."""

    since_offset: Uint64 | None = 0
    since_epoch: str | None = ""
    limit: Int32 | None = 0
    reverse: bool | None = False


class SharedPollPublishRequest(Request):
    """Gives a value of a key to those who track it.

    Attributes:
        channel, key: which.
        data: the value as JSON text.
        b64data: the value in Base64; counts instead of data when it is not empty.
        version: of the value, above 0; one that is not above what is known is left out.
        epoch: of the versions; another one than before has everybody begin anew.
    """

    channel: str | None = ""
    key: str | None = ""
    data: Raw = Raw()
    b64data: str | None = ""
    version: Uint64 | None = 0
    epoch: str | None = ""


class RpcRequest(Request):
    """Calls an extension (wire name `RPCRequest`)."""

    method: str | None = ""
    params: Raw = Raw()


class ChannelsRequest(Request):
    """Asks for channels with subscribers; `pattern` is a glob, empty for all."""

    pattern: str | None = ""
