"""Globs over channel names and origins."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.node.patterns import MAX_PATTERN_LENGTH, PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("room:*", ["room:", "room:tom", "room:a\nb", "room:ü"], ["room", "xroom:tom"]),
        ("*", ["", "anything"], []),
        ("**x", ["x", "aax"], ["xa"]),
        ("news", ["news"], ["news1", "anews", ""]),
        ("*o*", ["o", "foo", "room:tom"], ["bar"]),
        ("room:t?o", ["room:two", "room:tüo", "room:t\no"], ["room:to", "room:twoo"]),
        ("[abc]at", ["cat", "bat"], ["fat", "at"]),
        ("[!abc]at", ["fat", "éat"], ["cat", "at"]),
        ("[a-c]at", ["cat"], ["dat"]),
        ("[!a-c]at", ["dat"], ["cat"]),
        ("[a-c0-9_]", ["b", "5", "_"], ["d", "-"]),
        ("[α-ω]", ["β"], ["b"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[\\]\\-\\!]", ["]", "-", "!"], ["\\"]),
        ("[\\!a]", ["!", "a"], ["b"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("{cat,bat,[fr]at}", ["cat", "bat", "rat"], ["at", "zat"]),
        ("{a,b*}{,x}", ["a", "ax", "b", "byx"], ["c", "xa"]),
        ("{a,{b,c}d}", ["a", "bd", "cd"], ["b", "ad"]),
        ("a,b}", ["a,b}"], ["a"]),
        ("{a\\,b,c\\}}", ["a,b", "c}"], ["a"]),
        ("\\*\\?\\[\\{\\\\", ["*?[{\\"], ["x?[{\\"]),
        ("\\a", ["a"], ["\\a"]),
        ("a.b+(c)|^$", ["a.b+(c)|^$"], ["axb+(c)|^$"]),
        ("https://*.example.com", ["https://a.example.com"], ["https://example.com", "http://a.example.com"]),
        ("", [""], ["a"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], other: list[str]) -> None:
    matches = compile_pattern(pattern)
    assert [name for name in matching if not matches(name)] == []
    assert [name for name in other if matches(name)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "[a",
        "[",
        "[]",
        "[!]",
        "[!",
        "[z-a]",
        "[a-]",
        "[a-",
        "[\\",
        "{a",
        "{a{b,c}",
        "a\\",
        "\ud800",
        "[\ud800]",
        "{" * 17 + "}" * 17,
        "x" * (MAX_PATTERN_LENGTH + 1),
    ],
)
def test_broken_patterns(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_the_largest_patterns_compile() -> None:
    for part in ("*a", "?", "é", "[!ab]", "{a,*b}", "\\("):
        compile_pattern(part * (MAX_PATTERN_LENGTH // len(part)))("ab" * 100)


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?.", max_size=8), st.text("ab.", max_size=8))
def test_simple_globs_against_fnmatch(pattern: str, name: str) -> None:
    assert compile_pattern(pattern)(name) == fnmatch.fnmatchcase(name, pattern)


@settings(max_examples=300, deadline=None)
@given(st.text("a-]![{},*?\\^é", max_size=12), st.text("a-]é,", max_size=5))
def test_no_pattern_raises_anything_else(pattern: str, name: str) -> None:
    try:
        compile_pattern(pattern)(name)
    except PatternError:
        pass
