"""One publication is encoded once for each form that somebody wants."""

from __future__ import annotations

from typing import Any

from centripetal.fanout.channel import Group
from centripetal.fanout.fossil import apply_delta
from centripetal.fanout.prepared import Prepared, patch_between
from centripetal.model import Publication

OLD = b"the quick brown fox jumps over the lazy dog, again and again and again"
NEW = OLD.replace(b"fox", b"cat")


class Encoder:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, bool, bool]] = []

    def __call__(
        self, encoding: Any, channel: str, publication: Any, fossil: bool, patch: bytes | None
    ) -> bytes | None:
        self.calls.append((encoding, fossil, patch is not None))
        if encoding == "cannot":
            return None
        return patch if patch is not None else publication.data  # type: ignore[no-any-return]


def test_each_form_is_made_once() -> None:
    encoder = Encoder()
    prepared = Prepared(encoder, "c", Publication(NEW, 2), Publication(OLD, 1))
    plain, filtered, fossil = Group("json", False, None), Group("json", False, object()), Group("json", True, None)
    for _ in range(2):
        assert prepared.full(plain) == prepared.for_ready(filtered) == NEW
        patch = prepared.for_ready(fossil)
        assert patch is not None and apply_delta(OLD, patch) == NEW
        assert prepared.full(fossil) == NEW
    assert sorted(encoder.calls) == [("json", False, False), ("json", True, False), ("json", True, True)]


def test_that_an_encoding_cannot_is_found_once() -> None:
    encoder = Encoder()
    prepared = Prepared(encoder, "c", Publication(NEW, 2), None)
    group = Group("cannot", False, None)
    assert prepared.for_ready(group) is prepared.full(group) is None
    assert len(encoder.calls) == 1


def test_without_a_base_everybody_gets_the_whole() -> None:
    prepared = Prepared(Encoder(), "c", Publication(NEW, 2), None)
    assert prepared.for_ready(Group("json", True, None)) == NEW


def test_a_patch_that_is_not_smaller_is_not_sent() -> None:
    assert patch_between(b"abc", b"xyz") is None
    assert patch_between(OLD, b"") is None
    patch = patch_between(OLD, NEW)
    assert patch is not None and len(patch) < len(NEW)
