"""Glob patterns over channel names and origins.

`*` (and `**`) is any text, `?` any character, `[abc]`, `[a-z]` and `[!a-z]` a character of a class, `{a,b}` one of several
patterns, `\\` takes the next character literally. A pattern covers the whole name. Matching takes time linear in the
name's length, whatever the pattern.
"""

from __future__ import annotations

from collections.abc import Callable

import re2  # type: ignore[import-untyped]

MAX_PATTERN_LENGTH = 1024
MAX_BRACES = 16
"""Most levels of `{}`."""

_ANY = "(?s:.*)"


class PatternError(ValueError):
    """A glob is broken or beyond a bound (server API error 100)."""


def compile_pattern(pattern: str, max_length: int = MAX_PATTERN_LENGTH) -> Callable[[str], bool]:
    """Makes a glob ready to match.

    Args:
        pattern: the glob.
        max_length: most characters of it.

    Returns:
        A function that tells whether a name matches.

    Raises:
        PatternError: the glob is broken or beyond a bound.
    """
    if len(pattern) > max_length:
        raise PatternError(f"a pattern has at most {max_length} characters")
    if not pattern.isprintable() and any("\ud800" <= character <= "\udfff" for character in pattern):
        raise PatternError("a pattern is Unicode text without surrogates")
    head, star, tail = pattern.partition("*")
    if star and not tail and not any(character in head for character in "?[{\\"):
        return lambda name: name.startswith(head)
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        expression = re2.compile(_Translation(pattern).run(), options)
    except re2.error as error:
        raise PatternError("the pattern cannot be compiled") from error
    fullmatch = expression.fullmatch
    return lambda name: fullmatch(name) is not None


class _Translation:
    """Turns one glob into a regular expression."""

    __slots__ = ("_pattern", "_position")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0

    def run(self) -> str:
        parts: list[str] = []
        braces = 0
        pattern = self._pattern
        while self._position < len(pattern):
            character = pattern[self._position]
            self._position += 1
            if character == "*":
                if not parts or parts[-1] != _ANY:
                    parts.append(_ANY)
            elif character == "?":
                parts.append("(?s:.)")
            elif character == "[":
                parts.append(self._class())
            elif character == "{":
                braces += 1
                if braces > MAX_BRACES:
                    raise PatternError(f"braces are nested at most {MAX_BRACES} levels deep")
                parts.append("(?:")
            elif character == "}" and braces:
                braces -= 1
                parts.append(")")
            elif character == "," and braces:
                parts.append("|")
            elif character == "\\":
                parts.append(re2.escape(self._next("a backslash has nothing to escape")))
            else:
                parts.append(re2.escape(character))
        if braces:
            raise PatternError("a brace is not closed")
        return "".join(parts)

    def _next(self, problem: str) -> str:
        if self._position == len(self._pattern):
            raise PatternError(problem)
        character = self._pattern[self._position]
        self._position += 1
        return character

    def _member(self) -> tuple[str, bool]:
        """Reads a character of a class; the flag says that it stands for itself."""
        character = self._next("a character class is not closed")
        if character == "\\":
            return self._next("a character class is not closed"), True
        return character, False

    def _class(self) -> str:
        parts: list[str] = []
        low, literal = self._member()
        negated = low == "!" and not literal
        if negated:
            low, literal = self._member()
        while low != "]" or literal:
            if self._pattern[self._position : self._position + 1] == "-":
                self._position += 1
                high, literal = self._member()
                if high < low or (high == "]" and not literal):
                    raise PatternError("a range of characters has no end or is reversed")
                parts.append(f"{_in_class(low)}-{_in_class(high)}")
            else:
                parts.append(_in_class(low))
            low, literal = self._member()
        if not parts:
            raise PatternError("a character class is empty")
        return f"[{'^' if negated else ''}{''.join(parts)}]"


def _in_class(character: str) -> str:
    return f"\\x{{{ord(character):x}}}"
