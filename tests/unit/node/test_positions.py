"""Where positioned subscribers stand: gaps are closed once for all of a channel, and doubts are confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from centripetal.fanout.channel import Channel
from centripetal.interfaces import BrokerError, HistoryFilter
from centripetal.model import Publication, StreamPosition
from centripetal.node import positions as positions_module
from centripetal.node.positions import Positions, follows
from centripetal.testing import ManualClock


class Store:
    """A stream that the test changes; reads can be held back."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.epoch = "e"
        self.reads = 0
        self.fails = False
        self.gate: asyncio.Event | None = None

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.publications.append(Publication(b"x", self.top.offset + 1))

    @property
    def top(self) -> StreamPosition:
        return StreamPosition(self.publications[-1].offset if self.publications else 0, self.epoch)

    async def history(
        self, channel: str, wanted: HistoryFilter, meta_ttl: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        self.reads += 1
        after = wanted.since.offset if wanted.since is not None else 0
        found = [each for each in self.publications if each.offset > after][: wanted.limit], self.top
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise BrokerError("gone")
        return found


class Stage:
    def __init__(self, **settings: float) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.delivered: list[int] = []
        self.late: list[int] = []
        self.lost = 0
        options = {"check_delay_seconds": 40.0, "max_time_lag_seconds": 0.0} | settings
        self.positions = Positions(
            self.store,  # type: ignore[arg-type]
            self.clock,
            lambda channel, publication, base, epoch: self.delivered.append(publication.offset),
            lambda channel, publication: self.late.append(publication.offset),
            self.lose,
            **options,
        )
        self.channel = Channel("c")

    def lose(self, channel: Channel) -> None:
        self.lost += 1

    def hold(self) -> None:
        self.positions.hold(self.channel, self.store.top, 0.0)

    def arrive(self, offset: int, epoch: str = "e", time_ms: int = 0) -> None:
        """As Delivery.on_publication()."""
        publication = Publication(b"x", offset, time_ms=time_ms)
        arrival = (publication, StreamPosition(offset, epoch), False, None)
        if self.channel.position is None or self.positions.accept(self.channel, arrival):
            self.delivered.append(offset)

    async def turns(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def play(scenario: Callable[[Stage], Awaitable[None]], **settings: float) -> None:
    async def run() -> None:
        stage = Stage(**settings)
        await scenario(stage)
        await stage.turns()
        assert not stage.positions._tasks
        assert stage.delivered == sorted(set(stage.delivered)) or stage.lost

    asyncio.run(run())


def test_a_gap_is_closed_by_one_read() -> None:
    async def scenario(stage: Stage) -> None:
        for _ in range(3):
            stage.hold()
        stage.store.append(6)
        for offset in (1, 4, 5, 6, 5):
            stage.arrive(offset)
        await stage.turns()
        assert stage.delivered == [1, 2, 3, 4, 5, 6]
        assert (stage.store.reads, stage.lost) == (1, 0)
        stage.store.append()
        stage.arrive(7)
        assert stage.delivered[-1] == 7

    play(scenario)


def test_a_long_gap_is_delivered_in_slices_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "PUBLICATIONS_A_SLICE", 2)

    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append(9)
        stage.arrive(9)
        await asyncio.sleep(0)
        stage.store.append()
        stage.arrive(10)
        await stage.turns()
        assert stage.delivered == list(range(1, 11))

    play(scenario)


@pytest.mark.parametrize("how", ["fails", "trimmed", "epoch", "too long"])
def test_a_gap_that_cannot_be_closed(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions_module, "HEALED_PUBLICATIONS", 20)

    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append(30 if how == "too long" else 5)
        if how == "fails":
            stage.store.fails = True
        elif how == "trimmed":
            del stage.store.publications[:3]
        elif how == "epoch":
            stage.store.epoch = "f"
        stage.arrive(5)
        await stage.turns()
        assert stage.lost == 1
        assert stage.channel.position is None
        assert stage.delivered == [5]  # for those without a position
        assert not stage.positions._due

    play(scenario)


def test_another_stream_ends_the_position() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.arrive(1, "f")
        assert stage.lost == 1 and stage.delivered == [1]

    play(scenario)


def test_a_publication_that_took_too_long() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.arrive(1, time_ms=int(stage.clock.time() * 1000) - 900)
        assert stage.lost == 0
        stage.arrive(2, time_ms=int(stage.clock.time() * 1000) - 1100)
        assert stage.lost == 1

    play(scenario, max_time_lag_seconds=1.0)


async def check(stage: Stage) -> None:
    """Lets the check become due, and what follows on it."""
    stage.clock.advance(41)
    stage.positions.check_due()
    await stage.turns()


def test_a_publication_on_its_way_is_not_a_loss() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append()
        await check(stage)
        position = stage.channel.position
        assert stage.lost == 0 and position.suspicious
        stage.arrive(1)
        stage.positions._confirm(stage.channel, position)
        await stage.turns()
        assert stage.lost == 0 and not position.suspicious and stage.delivered == [1]

    play(scenario)


def test_a_publication_that_never_comes_is_read() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append(2)
        await check(stage)
        stage.positions._confirm(stage.channel, stage.channel.position)
        await stage.turns()
        assert stage.lost == 0 and stage.delivered == [1, 2]
        stage.arrive(1)
        stage.arrive(2)
        assert stage.delivered == [1, 2]

    play(scenario)


@pytest.mark.parametrize("how", ["epoch", "went back"])
def test_a_stream_that_is_another_is_told_when_confirmed(how: str) -> None:
    async def scenario(stage: Stage) -> None:
        stage.store.append(3)
        stage.hold()
        if how == "epoch":
            stage.store.epoch = "f"
        else:
            stage.store.publications.pop()
        await check(stage)
        assert stage.lost == 0
        stage.positions._confirm(stage.channel, stage.channel.position)
        await stage.turns()
        assert stage.lost == 1

    play(scenario)


def test_an_unreadable_store_is_no_loss() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append()
        stage.store.fails = True
        await check(stage)
        assert stage.lost == 0 and not stage.channel.position.suspicious

    play(scenario)


def test_reaching_what_a_newcomer_has_read() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append(3)
        top = stage.store.top
        assert not stage.positions.agrees(stage.channel, top)
        await asyncio.gather(*(stage.positions.reach(stage.channel, top) for _ in range(3)))
        assert stage.positions.agrees(stage.channel, top)
        assert stage.delivered == [1, 2, 3] and stage.store.reads == 1

    play(scenario)


def test_an_old_answer_to_a_newcomer_costs_the_others_nothing() -> None:
    """It read the stream before that one was replaced; the others are in the new one already."""

    async def scenario(stage: Stage) -> None:
        stage.store.append()
        stage.hold()
        await stage.positions.reach(stage.channel, StreamPosition(7, "old"))
        assert stage.lost == 0 and stage.channel.position is not None

    play(scenario)


def test_a_newcomer_who_finds_another_stream() -> None:
    async def scenario(stage: Stage) -> None:
        stage.store.append()
        stage.hold()
        stage.store.epoch = "f"
        await stage.positions.reach(stage.channel, stage.store.top)
        assert stage.lost == 1 and stage.channel.position is None

    play(scenario)


def test_nobody_is_left_when_the_gap_is_closed() -> None:
    async def scenario(stage: Stage) -> None:
        stage.hold()
        stage.store.append(3)
        stage.store.gate = asyncio.Event()
        stage.arrive(3)
        await stage.turns()
        stage.positions.release(stage.channel)
        assert stage.channel.position is None and not stage.positions._due
        stage.store.gate.set()
        await stage.turns()
        assert stage.lost == 0 and stage.delivered == [3]

    play(scenario)


def test_what_follows() -> None:
    three = [Publication(b"", offset) for offset in (4, 5, 6)]
    assert follows(3, three, 6)
    assert not follows(2, three, 6)
    assert not follows(3, three, 7)
    assert not follows(3, [three[0], three[2]], 6)
    assert follows(6, [], 6) and not follows(5, [], 6)


def test_what_the_first_newcomer_had_from_the_history_is_late_for_others_only() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.store.append(3)
        stage.hold()
        for offset in (2, 3, 4, 4):
            stage.arrive(offset)
        assert stage.late == [2, 3] and stage.delivered == [4]

    asyncio.run(scene())
