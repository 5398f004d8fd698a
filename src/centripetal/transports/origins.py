"""Which web pages may connect (`client.allowed_origins`)."""

from __future__ import annotations

from collections.abc import Iterable

import re2  # type: ignore[import-untyped]

_MAX_ORIGIN_BYTES = 1024
_SPECIAL = frozenset("*?[{\\")


class Origins:
    """Matches the Origin header against glob patterns, in linear time.

    A pattern is matched with the whole lower-cased origin. `*` and `**` stand for any text, `?` for any character,
    `[abc]`, `[a-z]` and `[!abc]` for a character in or out of a set, `{a,b}` for alternatives; a backslash
    takes the special meaning away.

    Args:
        patterns: of the option.

    Raises:
        ValueError: a pattern is malformed.
    """

    __slots__ = ("_any", "_exact", "_globs")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._any = False
        self._exact: set[str] = set()
        self._globs: list[re2._Regexp] = []
        for pattern in patterns:
            if pattern == "*":
                self._any = True
            elif _SPECIAL.isdisjoint(pattern):
                self._exact.add(pattern)
            else:
                self._globs.append(_compile(pattern))

    def allows(self, origin: str | None) -> bool:
        """Says whether a request may come in.

        Args:
            origin: value of its Origin header; None or empty when it has none, as from anything but a browser.
        """
        if not origin or self._any:
            return True
        if len(origin) > _MAX_ORIGIN_BYTES:
            return False
        origin = origin.lower()
        return origin in self._exact or any(glob.fullmatch(origin) for glob in self._globs)


def _compile(pattern: str) -> re2._Regexp:
    """Makes a regular expression of a glob."""
    parts: list[str] = []
    depth = 0
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                raise ValueError(f"allowed_origins: unclosed [ in {pattern!r}")
            parts.append(_character_class(pattern[position:end], pattern))
            position = end + 1
        elif character == "{":
            depth += 1
            parts.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            parts.append(")")
        elif character == "," and depth:
            parts.append("|")
        elif character == "\\":
            if position == len(pattern):
                raise ValueError(f"allowed_origins: nothing after the last backslash in {pattern!r}")
            parts.append(re2.escape(pattern[position]))
            position += 1
        else:
            parts.append(re2.escape(character))
    if depth:
        raise ValueError(f"allowed_origins: unclosed {{ in {pattern!r}")
    try:
        return re2.compile("(?s)" + "".join(parts))
    except re2.error as error:
        raise ValueError(f"allowed_origins: malformed pattern {pattern!r}") from error


def _character_class(content: str, pattern: str) -> str:
    negated = content.startswith("!")
    members = content[1:] if negated else content
    if not members:
        raise ValueError(f"allowed_origins: empty [] in {pattern!r}")
    if len(members) == 3 and members[1] == "-":
        inner = f"{re2.escape(members[0])}-{re2.escape(members[2])}"
    else:
        inner = "".join(re2.escape(member) for member in members.replace("\\", ""))
    return f"[{'^' if negated else ''}{inner}]"
