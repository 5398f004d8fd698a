"""Values of keys: who gets them, in which form, and in slices where there are many."""

from __future__ import annotations

from typing import Any

from centripetal.fanout import keyed
from centripetal.fanout.keyed import KeyedDelivery, KeySubscribers, Scope
from centripetal.fanout.outbox import Flusher, Outbox
from centripetal.model import Publication

LONG = b"a text that is long enough for a patch from one value to the next to be smaller than the whole " * 2


class Scene:
    """A key, its subscribers, and a loop that is advanced by hand."""

    def __init__(self) -> None:
        self.later: list[Any] = []
        self.written: dict[Outbox, list[bytes]] = {}
        self.encoded = 0
        self.refused: list[Outbox] = []
        self.flusher = Flusher(lambda _: None)
        self.delivery = KeyedDelivery(
            self.flusher, self.encode, self.later.append, self.refused.append, lambda *_: None
        )
        self.scope = Scope()
        self.key = KeySubscribers(self.scope)

    def encode(self, encoding: str, channel: str, publication: Publication, fossil: bool, patch: bytes | None) -> Any:
        self.encoded += 1
        if encoding == "broken":
            return None
        kind = b"removed" if publication.removed else b"patch" if patch is not None else b"full"
        return kind + b" %d" % publication.version

    def outbox(self) -> Outbox:
        box = Outbox(lambda data: None)
        self.written[box] = []
        box.write = self.written[box].append
        return box

    def add(self, encoding: str = "json", *, fossil: bool = False, version: int = 0) -> Outbox:
        box = self.outbox()
        self.key.add(box, encoding, fossil, version)
        return box

    def deliver(self, version: int, base: int = 0) -> None:
        before = Publication(data=LONG + b"%d" % base) if base else None
        value = Publication(data=LONG + b"%d" % version, version=version, key="k")
        self.delivery.deliver("x", self.key, value, before, base)

    def turn(self) -> None:
        for function in self.later[:]:
            self.later.remove(function)
            function()

    def got(self, box: Outbox) -> list[bytes]:
        self.flusher.flush()
        got, self.written[box] = self.written[box], []
        box.write = self.written[box].append
        return got


def test_each_gets_what_it_lacks_encoded_once_for_all() -> None:
    scene = Scene()
    new, old, same, ahead = (scene.add(version=version) for version in (0, 3, 5, 9))
    scene.deliver(5)
    assert [scene.got(box) for box in (new, old, same, ahead)] == [[b"full 5"], [b"full 5"], [], []]
    assert scene.encoded == 1
    scene.deliver(5)
    assert not any(scene.got(box) for box in (new, old, same, ahead))
    scene.deliver(6)
    assert [scene.got(box) for box in (new, old, same, ahead)] == [[b"full 6"], [b"full 6"], [b"full 6"], []]
    scene.deliver(10)
    assert scene.got(ahead) == [b"full 10"]


def test_patches_go_to_those_who_were_sent_the_base() -> None:
    scene = Scene()
    first, plain = scene.add(fossil=True), scene.add()
    scene.deliver(1)
    late = scene.add(fossil=True, version=1)
    scene.got(first), scene.got(plain)
    scene.deliver(2, base=1)
    assert [scene.got(box) for box in (first, plain, late)] == [[b"patch 2"], [b"full 2"], [b"full 2"]]
    scene.deliver(4, base=3)
    assert [scene.got(box) for box in (first, late)] == [[b"full 4"], [b"full 4"]]
    scene.key.add(first, "json", True, 4)
    scene.key.add(late, "json", True, 3)
    scene.deliver(5, base=4)
    assert [scene.got(box) for box in (first, late)] == [[b"patch 5"], [b"full 5"]]


def test_who_left_gets_nothing_and_leaves_nothing() -> None:
    scene = Scene()
    here, gone, early = scene.add(), scene.add(), scene.add()
    scene.key.remove(early, "json", False)
    scene.deliver(1)
    scene.key.remove(gone, "json", False)
    scene.key.remove(gone, "other", False)
    scene.deliver(2)
    assert [scene.got(box) for box in (here, gone, early)] == [[b"full 1full 2"], [b"full 1"], []]
    scene.key.remove(here, "json", False)
    assert not scene.key and len(scene.key) == 0


def test_a_removal_goes_to_all_but_those_who_track_the_key_anew() -> None:
    scene = Scene()
    current, behind, anew = scene.add(), scene.add(), scene.add()
    scene.deliver(1)
    scene.key.add(behind, "json", False, 7)
    for box in (current, behind, anew):
        scene.got(box)
    scene.delivery.remove("x", scene.key, Publication(key="k", removed=True), lambda box: box is not anew)
    assert [scene.got(box) for box in (current, behind, anew)] == [[b"removed 0"], [b"removed 0"], []]
    assert not scene.key


def test_an_encoding_that_cannot_carry_a_value() -> None:
    scene = Scene()
    broken, fine = scene.add("broken"), scene.add()
    scene.deliver(1)
    assert scene.refused == [broken] and scene.got(fine) == [b"full 1"]


def test_many_are_served_in_slices_in_order(monkeypatch: Any) -> None:
    monkeypatch.setattr(keyed, "MEMBERS_A_SLICE", 2)
    scene = Scene()
    boxes = [scene.add(fossil=True) for _ in range(5)]
    scene.deliver(1)
    scene.deliver(2, base=1)
    assert all(box.pending is None for box in boxes)
    scene.turn()
    assert [box.pending is not None for box in boxes] == [True, True, False, False, False]
    scene.key.remove(boxes[4], "json", True)
    late = scene.add(fossil=True)
    anew = scene.add(fossil=True, version=1)
    while scene.later:
        scene.turn()
    assert [scene.got(box) for box in boxes] == [[b"full 1patch 2"]] * 4 + [[]]
    assert scene.got(late) == scene.got(anew) == [b"full 2"]
    scene.deliver(3, base=2)
    while scene.later:
        scene.turn()
    assert scene.got(late) == [b"patch 3"]


def test_a_lost_scope_stops_slices(monkeypatch: Any) -> None:
    monkeypatch.setattr(keyed, "MEMBERS_A_SLICE", 2)
    scene = Scene()
    boxes = [scene.add() for _ in range(6)]
    scene.deliver(1)
    scene.turn()
    scene.scope.lost = True
    while scene.later:
        scene.turn()
    assert sum(bool(scene.got(box)) for box in boxes) == 2


def test_a_removal_waits_for_its_turn(monkeypatch: Any) -> None:
    monkeypatch.setattr(keyed, "MEMBERS_A_SLICE", 2)
    scene = Scene()
    boxes = [scene.add() for _ in range(5)]
    scene.deliver(1)
    scene.delivery.remove("x", scene.key, Publication(key="k", removed=True), lambda box: True)
    while scene.later:
        scene.turn()
    assert [scene.got(box) for box in boxes] == [[b"full 1removed 0"]] * 5
