"""Drops the fields of a request that are null: null means absent, except as payload."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, inspect

_NULL = b"null"

_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_elements = msgspec.json.Decoder(list[Raw]).decode


def drop_nulls(text: bytes, kind: type[msgspec.Struct]) -> bytes:
    """Returns the JSON text of a request without fields that are null; a null element becomes an empty one.

    Args:
        text: the request.
        kind: what it is going to be decoded into.

    Raises:
        msgspec.MsgspecError: the text is no such request for another reason.
        RecursionError: it is nested too deep.
    """
    return msgspec.json.encode(_drop(Raw(text), _describe(kind)))


@cache
def _describe(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _drop(value: Raw, kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.UnionType):
        kind = next(member for member in kind.types if isinstance(member, inspect.StructType))
    if isinstance(kind, inspect.StructType):
        members = _decode_members(value)
        return {
            field.encode_name: _drop(members[field.encode_name], field.type)
            for field in kind.fields
            if field.encode_name in members
            and (isinstance(field.type, inspect.RawType) or bytes(members[field.encode_name]) != _NULL)
        }
    if isinstance(kind, inspect.DictType):
        return {name: _drop_element(member, kind.value_type) for name, member in _decode_members(value).items()}
    if isinstance(kind, inspect.VarTupleType):
        return [_drop_element(member, kind.item_type) for member in _decode_elements(value)]
    return value


def _drop_element(value: Raw, kind: inspect.Type) -> Any:
    if bytes(value) == _NULL:
        return {} if isinstance(kind, inspect.StructType) else ""
    return _drop(value, kind)
