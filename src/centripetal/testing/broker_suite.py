"""What every broker must do, as tests for pytest to collect from a subclass."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from ..interfaces import Broker, HistoryFilter, PublishOptions, PublishResult
from ..model import ClientInfo, Publication, StreamPosition
from .broker_stage import BrokerStage
from .events import RecordedEvents

_ALL = HistoryFilter(limit=-1)
_INFO = ClientInfo("alice", "client-1", b'{"name":"Alice"}', b'{"role":"admin"}')


def numbered(publications: list[Publication]) -> list[tuple[int, bytes]]:
    """Returns offset and data of each publication."""
    return [(publication.offset, publication.data) for publication in publications]


class BrokerSuite(BrokerStage[Broker]):
    """Subclass it in a test module, named `Test...`, and say how to make a broker; see BrokerStage.

    Attributes:
        keeps_history: set False for a broker without streams (and so without idempotency and versions).
    """

    keeps_history = True

    def kept(self, **changes: object) -> PublishOptions:
        """Returns options that keep ten publications, with changes."""
        if not self.keeps_history:
            raise SkipTest("no history")
        values = {"history_size": 10, "history_ttl_seconds": self.ttl_seconds, **changes}
        return PublishOptions(**values)  # type: ignore[arg-type]

    def test_publication_without_history_has_no_position(self) -> None:
        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            result = await broker.publish(channel, b'{"n":1}', PublishOptions())
            assert result.position == StreamPosition() and not result.suppressed
            (event,) = await events.wait_publications(1)
            assert event.channel == channel
            assert event.publication.data == b'{"n":1}' and event.publication.offset == 0
            assert event.position == StreamPosition()

        self.run(scenario)

    def test_everything_said_about_a_publication_arrives(self) -> None:
        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            await broker.publish(channel, b"\x00\xff\n", PublishOptions(info=_INFO, tags={"kind": "a", "empty": ""}))
            (event,) = await events.wait_publications(1)
            assert event.publication.data == b"\x00\xff\n"
            assert event.publication.info == _INFO
            assert event.publication.tags == {"kind": "a", "empty": ""}

        self.run(scenario)

    def test_publications_of_a_channel_arrive_in_order(self) -> None:
        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            for number in range(200):
                await broker.publish(channel, b"%d" % number, PublishOptions())
            arrived = await events.wait_publications(200)
            assert [event.publication.data for event in arrived] == [b"%d" % number for number in range(200)]

        self.run(scenario)

    def test_join_and_leave_arrive(self) -> None:
        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            await broker.publish_join(channel, _INFO)
            await broker.publish_leave(channel, _INFO)
            assert await events.wait_joins(1) == [(channel, _INFO)]
            assert await events.wait_leaves(1) == [(channel, _INFO)]

        self.run(scenario)

    def test_offsets_count_from_one_in_one_epoch(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            positions = [(await broker.publish(channel, b"%d" % n, options)).position for n in range(3)]
            assert [position.offset for position in positions] == [1, 2, 3]
            assert len({position.epoch for position in positions}) == 1 and positions[0].epoch
            arrived = await events.wait_publications(3)
            assert [event.position for event in arrived] == positions
            assert [event.publication.offset for event in arrived] == [1, 2, 3]

        self.run(scenario)

    def test_first_publication_carries_the_epoch_live_and_not_in_history(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            epoch = (await broker.publish(channel, b"1", options)).position.epoch
            await broker.publish(channel, b"2", options)
            arrived = await events.wait_publications(2)
            assert [event.publication.epoch for event in arrived] == [epoch, ""]
            stored, _ = await broker.history(channel, _ALL)
            assert [publication.epoch for publication in stored] == ["", ""]

        self.run(scenario)

    def test_history_keeps_all_that_was_said(self) -> None:
        options = self.kept(info=_INFO, tags={"kind": "a"}, version=7)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            position = (await broker.publish(channel, b"\x00\xff\n", options)).position
            (publication,), top = await broker.history(channel, _ALL)
            assert top == position
            assert publication == Publication(b"\x00\xff\n", 1, _INFO, {"kind": "a"}, "", 7, publication.time_ms)

        self.run(scenario)

    def test_history_keeps_the_newest(self) -> None:
        options = self.kept(history_size=3)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            for number in range(1, 8):
                await broker.publish(channel, b"%d" % number, options)
            publications, top = await broker.history(channel, _ALL)
            assert numbered(publications) == [(5, b"5"), (6, b"6"), (7, b"7")]
            assert top.offset == 7

        self.run(scenario)

    def test_publication_without_history_leaves_the_stream_alone(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.publish(channel, b"kept", options)
            await broker.publish(channel, b"not kept", PublishOptions())
            await broker.publish(channel, b"not kept", PublishOptions(history_size=5))
            publications, top = await broker.history(channel, _ALL)
            assert numbered(publications) == [(1, b"kept")] and top.offset == 1

        self.run(scenario)

    def test_begun_publishes_are_publishes(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            begin: Any = getattr(broker, "begin_publish", None)
            if begin is None:
                return  # an ImmediateBroker only
            await broker.subscribe(channel)
            for number in range(1, 4):
                begun = begin(channel, b"%d" % number, options)
                result = begun if isinstance(begun, PublishResult) else await begun
                assert result.position.offset == number
            publications, top = await broker.history(channel, _ALL)
            assert numbered(publications) == [(1, b"1"), (2, b"2"), (3, b"3")] and top.offset == 3

        self.run(scenario)

    def test_history_by_limit_position_and_direction(self) -> None:
        options = self.kept(history_size=4)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            for number in range(1, 7):
                epoch = (await broker.publish(channel, b"%d" % number, options)).position.epoch

            async def offsets(limit: int, since: int | None = None, reverse: bool = False) -> list[int]:
                place = None if since is None else StreamPosition(since, epoch)
                publications, top = await broker.history(channel, HistoryFilter(limit, place, reverse))
                assert top == StreamPosition(6, epoch)
                return [publication.offset for publication in publications]

            assert await offsets(0) == [] == await offsets(0, 3) == await offsets(0, 3, True)
            assert await offsets(-1) == [3, 4, 5, 6] == await offsets(100)
            assert await offsets(2) == [3, 4] and await offsets(2, reverse=True) == [6, 5]
            assert await offsets(-1, reverse=True) == [6, 5, 4, 3]
            assert await offsets(-1, 0) == [3, 4, 5, 6] == await offsets(-1, 1)
            assert await offsets(-1, 4) == [5, 6] and await offsets(1, 4) == [5]
            assert await offsets(-1, 6) == [] == await offsets(5, 7)
            assert await offsets(-1, 5, True) == [4, 3] and await offsets(1, 5, True) == [4]
            assert await offsets(-1, 3, True) == [] == await offsets(2, 2, True)

        self.run(scenario)

    def test_reading_an_empty_stream_makes_its_epoch(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            publications, top = await broker.history(channel, _ALL)
            assert publications == [] and top.offset == 0 and top.epoch
            assert (await broker.history(channel, HistoryFilter()))[1] == top
            assert (await broker.publish(channel, b"1", options)).position == StreamPosition(1, top.epoch)

        self.run(scenario)

    def test_every_stream_has_an_epoch_of_its_own(self) -> None:
        self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            epochs = {(await broker.history(self.channel(), HistoryFilter()))[1].epoch for _ in range(20)}
            assert len(epochs) == 20

        self.run(scenario)

    def test_removed_history_goes_on_counting(self) -> None:
        options = self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            for number in range(1, 4):
                top = (await broker.publish(channel, b"%d" % number, options)).position
            await broker.remove_history(channel)
            await broker.remove_history(self.channel())
            assert await broker.history(channel, _ALL) == ([], top)
            assert (await broker.publish(channel, b"4", options)).position == StreamPosition(4, top.epoch)
            assert numbered((await broker.history(channel, _ALL))[0]) == [(4, b"4")]

        self.run(scenario)

    def test_delta_comes_with_the_publication_before(self) -> None:
        options = self.kept(use_delta=True)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            await broker.publish(channel, b"1", options)
            await broker.publish(channel, b"2", options)
            await broker.publish(channel, b"3", self.kept())
            await broker.remove_history(channel)
            await broker.publish(channel, b"4", options)
            arrived = await events.wait_publications(4)
            assert [event.use_delta for event in arrived] == [True, True, False, True]
            before = [event.previous and event.previous.data for event in arrived]
            assert before == [None, b"1", None, None]

        self.run(scenario)

    def test_idempotency_key_publishes_once(self) -> None:
        options = self.kept(idempotency_key="key")

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel, other = self.channel(), self.channel()
            await broker.subscribe(channel)
            first = await broker.publish(channel, b"1", options)
            again = await broker.publish(channel, b"2", options)
            assert not first.suppressed and first.reason == ""
            assert again.suppressed and again.reason == "idempotency" and again.position == first.position
            assert (await broker.publish(channel, b"3", self.kept(idempotency_key="key2"))).position.offset == 2
            assert not (await broker.publish(other, b"4", options)).suppressed
            arrived = await events.wait_publications(2)
            assert [event.publication.data for event in arrived if event.channel == channel] == [b"1", b"3"]
            assert numbered((await broker.history(channel, _ALL))[0]) == [(1, b"1"), (2, b"3")]

        self.run(scenario)

    def test_idempotency_key_works_without_history(self) -> None:
        self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            options = PublishOptions(idempotency_key="key")
            assert not (await broker.publish(channel, b"1", options)).suppressed
            again = await broker.publish(channel, b"2", options)
            assert again.suppressed and again.position == StreamPosition()

        self.run(scenario)

    def test_older_version_is_suppressed(self) -> None:
        self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            seen = []
            for version in (5, 5, 4, 6):
                result = await broker.publish(channel, b"%d" % version, self.kept(version=version))
                seen.append((result.position.offset, result.suppressed, result.reason))
            assert seen == [(1, False, ""), (1, True, "version"), (1, True, "version"), (2, False, "")]
            arrived = await events.wait_publications(2)
            assert [event.publication.version for event in arrived] == [5, 6]

        self.run(scenario)

    def test_versions_of_another_epoch_are_not_compared(self) -> None:
        self.kept()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()

            async def suppressed(version: int, epoch: str) -> bool:
                options = self.kept(version=version, version_epoch=epoch)
                return (await broker.publish(channel, b"{}", options)).suppressed

            assert not await suppressed(5, "a")
            assert await suppressed(5, "a") and await suppressed(4, "")
            assert not await suppressed(1, "b")
            assert await suppressed(1, "b") and not await suppressed(2, "b")

        self.run(scenario)

    def _timed(self, **changes: object) -> PublishOptions:
        if not self.patient:
            raise SkipTest("lifetimes cannot be waited for")
        return self.kept(**changes)

    def test_expired_history_is_gone_and_goes_on_counting(self) -> None:
        options = self._timed()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.publish(channel, b"1", options)
            top = (await broker.publish(channel, b"2", options)).position
            await self.advance(broker, self.ttl_seconds)
            assert await broker.history(channel, _ALL) == ([], top)
            assert (await broker.publish(channel, b"3", options)).position == StreamPosition(3, top.epoch)
            assert numbered((await broker.history(channel, _ALL))[0]) == [(3, b"3")]

        self.run(scenario)

    def test_publishing_renews_the_whole_history(self) -> None:
        options = self._timed()

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            for number in range(1, 4):
                await broker.publish(channel, b"%d" % number, options)
                await self.advance(broker, self.ttl_seconds * 0.6)
            assert len((await broker.history(channel, _ALL))[0]) == 3

        self.run(scenario)

    def test_forgotten_stream_begins_anew(self) -> None:
        options = self._timed(history_meta_ttl_seconds=self.ttl_seconds * 2)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            first = (await broker.publish(channel, b"1", options)).position
            await self.advance(broker, self.ttl_seconds * 1.5)
            # Reading keeps offset and epoch alive.
            assert (await broker.history(channel, _ALL, self.ttl_seconds * 2))[1] == first
            await self.advance(broker, self.ttl_seconds * 1.5)
            assert (await broker.history(channel, _ALL, self.ttl_seconds * 2))[1] == first
            await self.advance(broker, self.ttl_seconds * 2)
            publications, top = await broker.history(channel, _ALL)
            assert publications == [] and top.offset == 0 and top.epoch not in ("", first.epoch)

        self.run(scenario)

    def test_idempotency_key_expires(self) -> None:
        options = self._timed(idempotency_key="key", idempotent_result_ttl_seconds=self.ttl_seconds)

        async def scenario(broker: Broker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.publish(channel, b"1", options)
            await self.advance(broker, self.ttl_seconds * 0.5)
            assert (await broker.publish(channel, b"2", options)).suppressed
            await self.advance(broker, self.ttl_seconds * 0.5)
            assert not (await broker.publish(channel, b"3", options)).suppressed

        self.run(scenario)
