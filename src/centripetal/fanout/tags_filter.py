"""Tag filters: which publications a subscriber wants, decided by their tags (`tf` of a subscribe request).

A filter is a tree: comparisons of one tag (`op` empty) under `and`, `or` and `not`. It is checked and compiled once when
a client subscribes. Filters that say the same are equal, so that subscribers can be grouped by them and a publication
is matched once per group. The tree's size is bounded, and so is the time of a match.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

MAX_NODES = 256
MAX_DEPTH = 32
MAX_VALUES = 2048
"""Most entries of all lists (`vals`) of one filter together."""

MAX_LENGTH = 1024
"""Most characters of a key or value."""

MAX_NUMBER_LENGTH = 200
MAX_FRACTION_DIGITS = 19

Tags = Mapping[str, str]
_Match = Callable[[Tags], bool]
_Content = tuple[object, ...]

_NO_TAGS: Tags = {}
_NUMBER = re.compile(r"([+-]?[0-9]+)(?:\.([0-9]{1,19}))?", re.ASCII)
_ORDER: dict[str, Callable[[int, int], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_TEXT = frozenset({"eq", "neq", "sw", "ew", "ct"})


class FilterError(ValueError):
    """A filter is malformed or too large (client error 107)."""


class FilterNode(Protocol):
    """A node of the tree (wire name `FilterNode`).

    Attributes:
        op: empty for a comparison, else `and`, `or`, `not`.
        key: tag that is compared.
        cmp: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`, `gt`, `gte`.
        val: what the tag is compared with.
        vals: list for `in` and `nin`.
        nodes: operands of `op`.
    """

    @property
    def op(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def cmp(self) -> str: ...

    @property
    def val(self) -> str: ...

    @property
    def vals(self) -> Sequence[str]: ...

    @property
    def nodes(self) -> Sequence[FilterNode]: ...


class TagsFilter:
    """A compiled filter; equal to every other with the same content."""

    __slots__ = ("_content", "_hash", "_match")

    def __init__(self, content: _Content, match: _Match) -> None:
        self._content = content
        self._hash = hash(content)
        self._match = match

    def matches(self, tags: Tags | None) -> bool:
        """Tells whether a publication with these tags is wanted; None means no tags."""
        return self._match(_NO_TAGS if tags is None else tags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TagsFilter) and (self is other or self._content == other._content)

    def __hash__(self) -> int:
        return self._hash


class _Size:
    """What is left of the bounds while a tree is compiled."""

    __slots__ = ("nodes", "values")

    def __init__(self) -> None:
        self.nodes = MAX_NODES
        self.values = MAX_VALUES


def compile_filter(node: FilterNode) -> TagsFilter:
    """Checks a filter and makes it ready to match.

    Args:
        node: the root of the tree.

    Returns:
        The filter.

    Raises:
        FilterError: the tree is malformed or beyond a bound.
    """
    content, match = _compile(node, 1, _Size())
    return TagsFilter(content, match)


def parse_decimal(text: str) -> int | None:
    """Reads a decimal number as a whole number of 10**-19.

    Args:
        text: an optional sign, digits, and perhaps a point and up to 19 digits; no exponent, no spaces.

    Returns:
        The scaled number; None when the text is not a number or has more than 200 characters.
    """
    if len(text) > MAX_NUMBER_LENGTH:
        return None
    number = _NUMBER.fullmatch(text)
    if number is None:
        return None
    whole, fraction = number.groups("")
    return int(whole + fraction + "0" * (MAX_FRACTION_DIGITS - len(fraction)))


def _compile(node: FilterNode, depth: int, size: _Size) -> tuple[_Content, _Match]:
    size.nodes -= 1
    if size.nodes < 0:
        raise FilterError(f"a filter has at most {MAX_NODES} nodes")
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter is at most {MAX_DEPTH} levels deep")
    op = node.op
    if op == "":
        return _compile_leaf(node, size)
    if op not in ("and", "or", "not"):
        raise FilterError("unknown op")
    nodes = node.nodes
    if op == "not":
        if len(nodes) != 1:
            raise FilterError("not has exactly one node")
    elif not nodes:
        raise FilterError(f"{op} has at least one node")
    if len(nodes) > size.nodes:
        raise FilterError(f"a filter has at most {MAX_NODES} nodes")
    compiled = [_compile(child, depth + 1, size) for child in nodes]
    if op == "not":
        content, match = compiled[0]
        return ("not", content), lambda tags: not match(tags)
    if len(compiled) == 1:
        return compiled[0]
    return (op, *(content for content, _ in compiled)), _combine(op, tuple(match for _, match in compiled))


def _combine(op: str, matches: tuple[_Match, ...]) -> _Match:
    if len(matches) == 2:
        first, second = matches
        if op == "and":
            return lambda tags: first(tags) and second(tags)
        return lambda tags: first(tags) or second(tags)

    def match_all(tags: Tags) -> bool:
        for match in matches:
            if not match(tags):
                return False
        return True

    def match_any(tags: Tags) -> bool:
        for match in matches:
            if match(tags):
                return True
        return False

    return match_all if op == "and" else match_any


def _compile_leaf(node: FilterNode, size: _Size) -> tuple[_Content, _Match]:
    key = node.key
    cmp = node.cmp
    val = node.val
    vals = node.vals
    if len(key) > MAX_LENGTH or len(val) > MAX_LENGTH:
        raise FilterError(f"keys and values have at most {MAX_LENGTH} characters")
    if cmp in ("ex", "nex"):
        if val or vals:
            raise FilterError(f"{cmp} takes neither val nor vals")
        if cmp == "ex":
            return (cmp, key), lambda tags: key in tags
        return (cmp, key), lambda tags: key not in tags
    if not key:
        raise FilterError("a comparison needs a key")
    if cmp in ("in", "nin"):
        return _compile_set(cmp, key, val, vals, size)
    if cmp not in _TEXT and cmp not in _ORDER:
        raise FilterError("unknown cmp")
    if not val:
        raise FilterError(f"{cmp} needs val")
    if vals:
        raise FilterError(f"{cmp} takes no vals")
    match = _compile_text(cmp, key, val) if cmp in _TEXT else _compile_order(cmp, key, val)
    return (cmp, key, val), match


def _compile_set(cmp: str, key: str, val: str, vals: Sequence[str], size: _Size) -> tuple[_Content, _Match]:
    if val:
        raise FilterError(f"{cmp} takes no val")
    if not vals:
        raise FilterError(f"{cmp} needs vals")
    size.values -= len(vals)
    if size.values < 0:
        raise FilterError(f"a filter has at most {MAX_VALUES} values in lists")
    if any(len(value) > MAX_LENGTH for value in vals):
        raise FilterError(f"keys and values have at most {MAX_LENGTH} characters")
    # A missing tag counts as an empty one here, other than in the comparisons of text.
    wanted = frozenset(vals)
    if cmp == "in":
        return (cmp, key, wanted), lambda tags: tags.get(key, "") in wanted
    return (cmp, key, wanted), lambda tags: tags.get(key, "") not in wanted


def _compile_text(cmp: str, key: str, val: str) -> _Match:
    if cmp == "eq":
        return lambda tags: tags.get(key) == val
    if cmp == "neq":
        return lambda tags: tags.get(key) != val
    if cmp == "sw":
        return lambda tags: tags.get(key, "").startswith(val)
    if cmp == "ew":
        return lambda tags: tags.get(key, "").endswith(val)
    return lambda tags: val in tags.get(key, "")


def _compile_order(cmp: str, key: str, val: str) -> _Match:
    limit = parse_decimal(val)
    compare = _ORDER[cmp]
    if limit is None:
        # Well-formed for the protocol, but nothing compares with what is no number.
        return lambda tags: False

    def match(tags: Tags) -> bool:
        tag = tags.get(key)
        if tag is None:
            return False
        number = parse_decimal(tag)
        return number is not None and compare(number, limit)

    return match
