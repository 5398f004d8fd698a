"""Form of origin patterns: `*` and `?` match characters, `[a-z]` a class, `{a,b}` alternatives, `\\` escapes."""

from __future__ import annotations


def find_mistake(pattern: str) -> str:
    """Returns what is wrong with the form of an origin pattern; empty if nothing is."""
    braces = 0
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
            if position == len(pattern):
                return "nothing follows the last backslash"
        elif character == "[":
            end = _end_of_class(pattern, position)
            if end < 0:
                return "a [ is not closed, or nothing is in it"
            position = end
        elif character == "{":
            braces += 1
        elif character == "}":
            braces -= 1
            if braces < 0:
                return "a } was not opened"
        position += 1
    return "a { is not closed" if braces else ""


def _end_of_class(pattern: str, start: int) -> int:
    first = start + 2 if pattern.startswith("!", start + 1) else start + 1
    end = pattern.find("]", first)
    return end if end > first else -1
