"""The schema seen as a list of options: what the settings structs say about names, kinds, defaults and meanings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

Kind = Literal["bool", "integer", "duration", "text", "texts", "map", "section", "sections"]

NAMED_LISTS = ("channel.namespaces", "rpc.namespaces", "proxies", "consumers")
"""Lists whose items have a name and, through it, variables of their own."""


class Option(Struct, frozen=True, kw_only=True):
    """One field of a settings struct.

    Attributes:
        name: the key in a file; parts of a path are joined by dots.
        kind: what a value looks like.
        default: the value when none, or a zero value, is given.
        meaning: one sentence for the reference.
        choices: allowed texts; empty when any is allowed.
        minimum, maximum: bounds of an integer.
        section: the struct of a section or of the items of a list of sections.
        secret: the value must not be shown.
        pem: the text is PEM, or says where it is.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = -(2**63)
    maximum: int = 2**63 - 1
    section: type[Struct] | None = None
    secret: bool = False
    pem: bool = False


@cache
def options_of(section: type[Struct]) -> tuple[Option, ...]:
    """Returns the options of one settings struct in the order of its fields, inherited ones first."""
    hints = get_type_hints(section, include_extras=True)
    return tuple(_option(field, hints[field.name]) for field in msgspec.structs.fields(section))


def _option(field: msgspec.structs.FieldInfo, hint: Any) -> Option:
    metas: tuple[Meta, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        metas = tuple(extra for extra in extras if isinstance(extra, Meta))
    extra: dict[str, Any] = {}
    for meta in metas:
        extra.update(meta.extra or {})
    bounds = {
        "minimum": next((int(meta.ge) for meta in metas if meta.ge is not None), -(2**63)),
        "maximum": next((int(meta.le) for meta in metas if meta.le is not None), 2**63 - 1),
    }
    kind, section = _kind(hint, extra)
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    meaning = next((meta.description for meta in metas if meta.description), "")
    if kind == "section" and section is not None and not meaning:
        meaning = (section.__doc__ or "").partition("\n")[0]
    return Option(
        name=field.name,
        kind=kind,
        default=default,
        meaning=meaning,
        choices=choices,
        section=section,
        secret=extra.get("kind") == "secret" or bool(extra.get("secret")),
        pem=extra.get("kind") == "pem",
        **bounds,
    )


def _kind(hint: Any, extra: dict[str, Any]) -> tuple[Kind, type[Struct] | None]:
    if hint is bool:
        return "bool", None
    if hint is int:
        return "integer", None
    if hint is float and extra.get("kind") == "duration":
        return "duration", None
    if hint is str or get_origin(hint) is Literal:
        return "text", None
    if get_origin(hint) is dict:
        return "map", None
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return ("texts", None) if item is str else ("sections", item)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return "section", hint
    raise TypeError(f"no option can have the type {hint!r}")


def walk(section: type[Struct], path: str = "") -> Iterator[tuple[str, Option]]:
    """Yields path and option of everything that can be set below `section`; `[]` stands for an item of a list."""
    for option in options_of(section):
        option_path = join(path, option.name)
        if option.kind == "section" and option.section is not None:
            yield from walk(option.section, option_path)
            continue
        yield option_path, option
        if option.kind == "sections" and option.section is not None:
            yield from walk(option.section, option_path + "[]")


def join(path: str, name: str) -> str:
    """Returns the dotted path of an option inside the section at `path`; an empty path is the top."""
    return f"{path}.{name}" if path else name
