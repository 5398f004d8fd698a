"""What travels through channels: publications, who sent them, and where they stand in a stream."""

from __future__ import annotations

import msgspec


class StreamPosition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in a channel's stream.

    Attributes:
        offset: number of the last publication, counted from 1; 0 before the first.
        epoch: identifies the stream's incarnation; offsets of different epochs cannot be compared.
    """

    offset: int = 0
    epoch: str = ""


class ClientInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who is behind a publication, a presence entry or a join (wire name `ClientInfo`).

    Attributes:
        user: user id, empty for anonymous.
        client: connection id.
        conn_info: connection info, JSON text or bytes; empty when there is none.
        chan_info: channel info of the subscription; empty when there is none.
    """

    user: str = ""
    client: str = ""
    conn_info: bytes = b""
    chan_info: bytes = b""


class Publication(msgspec.Struct, frozen=True, array_like=True):
    """One message in a channel (wire name `Publication`).

    Attributes:
        data: payload, JSON text or bytes.
        offset: its number in the stream, 0 without history.
        info: the publishing client, None when published through the API.
        tags: string pairs that tag filters look at.
        epoch: of the stream, set in the publication with offset 1 only.
        version: version of the document that the publisher gave; 0 for none.
        time_ms: Unix milliseconds of storing; 0 when unknown.
        channel: the real channel, when the subscription is to a pattern.
        key, removed, score, prev_data: of map publications.
    """

    data: bytes = b""
    offset: int = 0
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    epoch: str = ""
    version: int = 0
    time_ms: int = 0
    channel: str = ""
    key: str = ""
    removed: bool = False
    score: int = 0
    prev_data: bytes = b""
