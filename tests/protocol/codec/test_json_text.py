"""The check of foreign JSON text agrees with the json module."""

from __future__ import annotations

import json

from codec_values import json_payloads
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.protocol.json_text import MAX_DEPTH, is_json, is_too_deep


def refuse(text: str) -> object:
    raise ValueError(text)


def is_json_by_definition(text: bytes) -> bool:
    try:
        json.loads(text.decode(), parse_int=str, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


@given(json_payloads)
def test_valid(text: bytes) -> None:
    assert is_json(text)


fragments = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"a", b"\\", b"\\u", b"d800", b"\\udc00", b"\\ud83d", b"0", b"1", b"-",
     b".", b"e", b"+", b"null", b"true", b"NaN", b" ", b"\n", b"\r", b"\x00", b"\xff", b"\xc3\xa4", b"\xed\xa0\x80"]
)  # fmt: skip


@given(st.lists(fragments, max_size=10).map(b"".join))
@settings(max_examples=200)
def test_fragments(text: bytes) -> None:
    assert is_json(text) == is_json_by_definition(text)


@given(json_payloads, st.data())
@settings(max_examples=200)
def test_damaged(text: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    text = text[:place] + data.draw(fragments | st.binary(max_size=2)) + text[place + data.draw(st.integers(0, 2)) :]
    assert is_json(text) == is_json_by_definition(text)


@given(st.lists(st.sampled_from((1, 3, 250, 512)), min_size=1, max_size=4))
def test_depth(levels: list[int]) -> None:
    start, end = b"", b""
    for count in levels:
        start += b'["[\\"{", ' + b'{"\\"[": ' * (count - 1)
        end = b"}" * (count - 1) + b"]" + end
    text = start + b'"' + b"]" * 600 + b'"' + end
    assert is_too_deep(text) == (sum(levels) > MAX_DEPTH)
    assert is_json(text) == (sum(levels) <= MAX_DEPTH)


def test_depth_of_broken_text() -> None:
    assert is_too_deep(b"[" * 600)
    assert is_too_deep(b"[" * 600 + b'"' + b'\\"' * 1000 + b"\\")
    assert not is_too_deep(b'"' + b"[" * 600)
    assert not is_too_deep(b"]" * 600 + b"[" * 600)
    assert not is_too_deep(b"[" * 512 + b"]" * 512 + b"[" * 512)
