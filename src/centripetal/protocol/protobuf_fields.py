"""Protobuf messages of results and push bodies, written by tables of their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..model import ClientError, ClientInfo, Publication
from . import results
from .framing import varint

_VARINT, _LENGTH = 0, 2
_UINT64_MASK = 2**64 - 1


def tag(number: int, wire_type: int) -> bytes:
    """Returns what stands before a field's value."""
    return varint(number << 3 | wire_type)


def length_field(prefix: bytes, body: bytes) -> bytes:
    """Returns a field with a length; `prefix` is its tag."""
    return b"%b%b%b" % (prefix, varint(len(body)), body)


def encode_message(value: Any) -> bytes:
    """Returns the Protobuf message of a result, push body or value inside them.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    if type(value) is results.PublicationEntry:
        return encode_entry(value)
    parts = []
    for name, prefix, write in _FIELDS[type(value)]:
        field = getattr(value, name)
        if field:
            parts.append(write(prefix, field))
    return b"".join(parts)


def encode_entry(entry: results.PublicationEntry) -> bytes:
    """Returns the message of a publication inside a result."""
    if entry.encoded is not None:
        return entry.encoded
    return encode_publication(entry.publication, entry.fossil, entry.patch)


def encode_publication(publication: Publication, fossil: bool = False, patch: bytes | None = None) -> bytes:
    """Returns the message of a publication; the arguments are those of ProtobufCodec.encode_publication()."""
    is_patch = fossil and patch is not None
    data = patch if fossil and patch is not None else publication.data
    text = length_field(_DATA, data) if data else b""
    if publication.info is not None:
        text += length_field(_INFO, encode_message(publication.info))
    if publication.offset:
        text += b"\x30" + varint(publication.offset)
    if publication.tags:
        text += _write_texts(_TAGS, publication.tags)
    if is_patch:
        text += b"\x40\x01"
    if publication.channel or publication.key or publication.removed or publication.score:
        text += b"".join([write(tag, getattr(publication, name)) for name, tag, write in _MAP_FIELDS
                          if getattr(publication, name)])
    if publication.epoch:
        text += _write_text(_EPOCH, publication.epoch)
    if publication.version:
        text += _VERSION + varint(publication.version)
    return text


def _write_text(prefix: bytes, value: str) -> bytes:
    return length_field(prefix, value.encode())


def _write_integer(prefix: bytes, value: int) -> bytes:
    return prefix + varint(value & _UINT64_MASK)


def _write_zigzag(prefix: bytes, value: int) -> bytes:
    return prefix + varint((value << 1 ^ value >> 63) & _UINT64_MASK)


def _write_message(prefix: bytes, value: msgspec.Struct) -> bytes:
    return length_field(prefix, encode_message(value))


def _write_messages(prefix: bytes, values: list[results.PublicationEntry]) -> bytes:
    return b"".join([length_field(prefix, encode_message(value)) for value in values])


def _write_texts(prefix: bytes, values: dict[str, str]) -> bytes:
    return b"".join(
        [length_field(prefix, _write_text(_KEY, name) + _write_text(_VALUE, value)) for name, value in values.items()]
    )


def _write_message_map(prefix: bytes, values: dict[str, msgspec.Struct]) -> bytes:
    return b"".join(
        [length_field(prefix, _write_text(_KEY, name) + _write_message(_VALUE, value))
         for name, value in values.items()]
    )


_KEY, _VALUE = tag(1, _LENGTH), tag(2, _LENGTH)
_DATA, _INFO, _TAGS = tag(4, _LENGTH), tag(5, _LENGTH), tag(7, _LENGTH)
_EPOCH, _VERSION = tag(14, _LENGTH), tag(16, _VARINT)

_Write = Callable[[bytes, Any], bytes]
_Row = tuple[str, bytes, _Write]

_WIRE_TYPES: dict[_Write, int] = {_write_integer: _VARINT, _write_zigzag: _VARINT}


def _rows(*fields: tuple[int, str, _Write]) -> tuple[_Row, ...]:
    return tuple((name, tag(number, _WIRE_TYPES.get(write, _LENGTH)), write) for number, name, write in fields)


_INT, _TEXT, _BYTES, _ONE, _MANY = _write_integer, _write_text, length_field, _write_message, _write_messages

_MAP_FIELDS = _rows((10, "channel", _TEXT), (11, "key", _TEXT), (12, "removed", _INT), (13, "score", _write_zigzag))

_FIELDS: dict[type, tuple[_Row, ...]] = {
    ClientError: _rows((1, "code", _INT), (2, "message", _TEXT), (3, "temporary", _INT)),
    ClientInfo: _rows((1, "user", _TEXT), (2, "client", _TEXT), (3, "conn_info", _BYTES), (4, "chan_info", _BYTES)),
    results.Dictionary: _rows((1, "id", _TEXT), (2, "data", _BYTES), (3, "data_b64", _TEXT)),
    results.ConnectResult: _rows(
        (1, "client", _TEXT), (2, "version", _TEXT), (3, "expires", _INT), (4, "ttl", _INT), (5, "data", _BYTES),
        (6, "subs", _write_message_map), (7, "ping", _INT), (8, "pong", _INT), (9, "session", _TEXT),
        (10, "node", _TEXT), (11, "time", _INT), (12, "flag", _INT), (13, "dict", _ONE),
    ),
    results.SubscribeResult: _rows(
        (1, "expires", _INT), (2, "ttl", _INT), (3, "recoverable", _INT), (6, "epoch", _TEXT),
        (7, "publications", _MANY), (8, "recovered", _INT), (9, "offset", _INT), (10, "positioned", _INT),
        (11, "data", _BYTES), (12, "was_recovering", _INT), (13, "delta", _INT), (14, "id", _INT), (15, "type", _INT),
        (16, "phase", _INT), (17, "cursor", _TEXT), (18, "state", _MANY), (19, "publish_debounce", _INT),
    ),
    results.UnsubscribeResult: (),
    results.PublishResult: (),
    results.PingResult: (),
    results.PresenceResult: _rows((1, "presence", _write_message_map)),
    results.PresenceStatsResult: _rows((1, "num_clients", _INT), (2, "num_users", _INT)),
    results.HistoryResult: _rows((1, "publications", _MANY), (2, "epoch", _TEXT), (3, "offset", _INT)),
    results.RpcResult: _rows((1, "data", _BYTES)),
    results.RefreshResult: _rows((1, "client", _TEXT), (2, "version", _TEXT), (3, "expires", _INT), (4, "ttl", _INT)),
    results.SubRefreshResult: _rows((1, "expires", _INT), (2, "ttl", _INT), (3, "items", _MANY)),
    results.Join: _rows((1, "info", _ONE)),
    results.Leave: _rows((1, "info", _ONE)),
    results.Unsubscribe: _rows((2, "code", _INT), (3, "reason", _TEXT)),
    results.Subscribe: _rows(
        (1, "recoverable", _INT), (4, "epoch", _TEXT), (5, "offset", _INT), (6, "positioned", _INT),
        (7, "data", _BYTES),
    ),
    results.Message: _rows((1, "data", _BYTES)),
    results.ConnectPush: _rows(
        (1, "client", _TEXT), (2, "version", _TEXT), (3, "data", _BYTES), (4, "subs", _write_message_map),
        (5, "expires", _INT), (6, "ttl", _INT), (7, "ping", _INT), (8, "pong", _INT), (9, "session", _TEXT),
        (10, "node", _TEXT), (11, "time", _INT),
    ),
    results.DisconnectPush: _rows((1, "code", _INT), (2, "reason", _TEXT), (3, "reconnect", _INT)),
    results.RefreshPush: _rows((1, "expires", _INT), (2, "ttl", _INT)),
}
