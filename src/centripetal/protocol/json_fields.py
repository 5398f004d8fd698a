"""JSON objects of results and push bodies, written by a table of their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..model import ClientInfo, Publication
from . import results
from .errors import UnencodableData
from .json_text import embed, is_json

_encode = msgspec.json.Encoder().encode


def encode_object(value: msgspec.Struct) -> bytes:
    """Returns the JSON object of a result or push body.

    Raises:
        UnencodableData: embedded data is not valid JSON.
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    writers = _WRITERS.get(type(value))
    if writers is None:
        return _encode(value)
    for name in writers:
        if getattr(value, name):
            break
    else:
        return _encode(value)
    always = type(value) in _ALWAYS
    parts = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if field or always:
            parts.append(b'"%b":%b' % (name.encode(), writers.get(name, _encode)(field)))
    return b"{%b}" % b",".join(parts)


def encode_info(info: ClientInfo) -> bytes:
    """Returns the JSON object of a ClientInfo; user and client are always there."""
    text = b'{"user":%b,"client":%b' % (_encode(info.user), _encode(info.client))
    if info.conn_info:
        text += b',"conn_info":' + embed(info.conn_info)
    if info.chan_info:
        text += b',"chan_info":' + embed(info.chan_info)
    return text + b"}"


def encode_publication(publication: Publication, fossil: bool = False, patch: bytes | None = None) -> bytes:
    """Returns the JSON object of a publication; the arguments are those of JsonCodec.encode_publication()."""
    data = publication.data
    parts = []
    is_patch = False
    if not fossil:
        if data:
            parts.append(b',"data":' + embed(data))
    elif data or patch is not None:
        text, is_patch = _fossil_text(data, patch)
        parts.append(b',"data":' + text)
    if publication.info is not None:
        parts.append(b',"info":' + encode_info(publication.info))
    if publication.offset:
        parts.append(b',"offset":%d' % publication.offset)
    if publication.tags:
        parts.append(b',"tags":' + _encode(publication.tags))
    if is_patch:
        parts.append(b',"delta":true')
    if publication.channel or publication.key or publication.removed or publication.score:
        parts.append(_map_fields(publication))
    if publication.epoch and not fossil:
        parts.append(b',"epoch":' + _encode(publication.epoch))
    if publication.version:
        parts.append(b',"version":%d' % publication.version)
    return b"{%b}" % b"".join(parts)[1:]


def _fossil_text(data: bytes, patch: bytes | None) -> tuple[bytes, bool]:
    if data and not is_json(data):
        raise UnencodableData("the payload is not valid JSON")
    if patch is not None:
        try:
            return _encode(patch.decode()), True
        except UnicodeDecodeError:
            pass  # the patch cuts a character in two, which only bytes can express
    return _encode(data.decode()), False


def _map_fields(publication: Publication) -> bytes:
    text = b""
    if publication.channel:
        text += b',"channel":' + _encode(publication.channel)
    if publication.key:
        text += b',"key":' + _encode(publication.key)
    if publication.removed:
        text += b',"removed":true'
    if publication.score:
        text += b',"score":%d' % publication.score
    return text


def _entries(entries: list[results.PublicationEntry]) -> bytes:
    return b"[%b]" % b",".join([each.encoded or encode_entry(each) for each in entries])


def encode_entry(entry: results.PublicationEntry) -> bytes:
    """Returns the JSON object of a publication inside a result."""
    if entry.encoded is not None:
        return entry.encoded
    return encode_publication(entry.publication, entry.fossil, entry.patch)


def _subs(subs: dict[str, results.SubscribeResult]) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (_encode(name), encode_object(sub)) for name, sub in subs.items()])


def _infos(infos: dict[str, ClientInfo]) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (_encode(name), encode_info(info)) for name, info in infos.items()])


# The fields that msgspec cannot write by itself; a value in which all of them are empty it writes whole.
_WRITERS: dict[type, dict[str, Callable[[Any], bytes]]] = {
    results.ConnectResult: {"data": embed, "subs": _subs, "dict": encode_object},
    results.ConnectPush: {"data": embed, "subs": _subs},
    results.Dictionary: {"data": embed},
    results.HistoryResult: {"publications": _entries},
    results.Join: {"info": encode_info},
    results.Leave: {"info": encode_info},
    results.Message: {"data": embed},
    results.PresenceResult: {"presence": _infos},
    results.RpcResult: {"data": embed},
    results.SubRefreshResult: {"items": _entries},
    results.Subscribe: {"data": embed},
    results.SubscribeResult: {"data": embed, "publications": _entries, "state": _entries},
}
_ALWAYS = {results.HistoryResult, results.PresenceResult}
