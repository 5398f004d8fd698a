"""Makes structs of Protobuf messages that have the same fields: a table of readers, made of the structs' own types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.message import Message
from msgspec import Raw

Reader = Callable[[Any], Any]


def struct_reader(kind: Any) -> Reader:
    """Returns a function that makes a struct of a message: only fields that are set cost anything.

    Fields of the message that the struct does not have are left out. Bytes become `Raw`, repeated fields what the struct has
    for them, maps a dictionary. A message where the struct has a dictionary of JSON values is an empty one: of such only the
    presence counts.

    Args:
        kind: type of the struct.
    """
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    readers = {field.name: _field_reader(field.type) for field in info.fields}
    make = info.cls

    def read(message: Message) -> Any:
        fields: dict[str, Any] = {}
        for descriptor, value in message.ListFields():
            name = descriptor.name
            if name in readers:
                read_field = readers[name]
                fields[name] = value if read_field is None else read_field(value)
        return make(**fields)

    return read


def _field_reader(kind: msgspec.inspect.Type) -> Reader | None:
    """Returns what turns a field's value into that of the struct, None for nothing."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    for part in kinds:
        if isinstance(part, msgspec.inspect.RawType):
            return Raw
        if isinstance(part, msgspec.inspect.StructType):
            return struct_reader(part.cls)
        if isinstance(part, msgspec.inspect.ListType):
            return _sequence_reader(list, part.item_type)
        if isinstance(part, msgspec.inspect.VarTupleType):
            return _sequence_reader(tuple, part.item_type)
        if isinstance(part, msgspec.inspect.DictType):
            return _dict_reader(part)
    return None


def _sequence_reader(make: Callable[[Any], Any], item: msgspec.inspect.Type) -> Reader:
    read = _field_reader(item)
    if read is None:
        return make
    return lambda values: make([read(value) for value in values])


def _dict_reader(kind: msgspec.inspect.DictType) -> Reader:
    read = _field_reader(kind.value_type)
    if read is None:
        return dict
    return lambda values: {} if isinstance(values, Message) else {name: read(value) for name, value in values.items()}
