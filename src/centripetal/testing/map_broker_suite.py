"""What every map broker must do, as tests for pytest to collect from a subclass."""

from __future__ import annotations

from unittest import SkipTest

from ..interfaces import HistoryFilter, MapBroker, MapPublishOptions, MapRemoveOptions, MapRetention, StateFilter
from ..model import StreamPosition
from .events import RecordedEvents
from .map_broker_conditions import MapConditionSuite, MapLifetimeSuite
from .map_broker_stage import INFO, WHOLE_STATE, WHOLE_STREAM, keyed


class MapBrokerSuite(MapConditionSuite, MapLifetimeSuite):
    """Subclass it in a test module, named `Test...`, and say how to make a broker; the attributes are those of
    MapBrokerStage.
    """

    def test_a_state_holds_the_latest_value_of_each_key(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, options = self.channel(), MapPublishOptions(retention=self.recoverable)
            for number, key in enumerate("bab", 1):
                result = await broker.publish(channel, key, b"%d" % number, options)
                assert result.position.offset == number and result.position.epoch and not result.suppressed
            page = await broker.read_state(channel, WHOLE_STATE, self.recoverable)
            assert sorted((each.key, each.data, each.offset) for each in page.entries) == [("a", b"2", 2), ("b", b"3", 3)]
            assert page.position == result.position and not page.cursor
            assert await broker.count_keys(channel) == 2

        self.run(scenario)

    def test_without_a_stream_there_is_an_epoch_and_no_offset(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, options = self.channel(), MapPublishOptions(retention=self.ephemeral)
            await broker.subscribe(channel)
            written = await broker.publish(channel, "k", b"1", options)
            assert written.position.offset == 0 and written.position.epoch
            removed = await broker.remove(channel, "k", MapRemoveOptions(retention=self.ephemeral))
            assert removed.position == written.position and not removed.suppressed
            assert await broker.read_stream(channel, WHOLE_STREAM, self.ephemeral) == ([], written.position)
            arrived = await events.wait_publications(2)
            assert [event.publication.offset for event in arrived] == [0, 0]

        self.run(scenario)

    def test_everything_said_about_a_key_is_kept_and_arrives(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            options = MapPublishOptions(retention=self.recoverable, info=INFO, tags={"kind": "a", "empty": ""})
            await broker.publish(channel, "k", b"\x00\xff\n", options)
            page = await broker.read_state(channel, StateFilter(key="k"), self.recoverable)
            (event,) = await events.wait_publications(1)
            for publication in (event.publication, page.entries[0]):
                assert publication.data == b"\x00\xff\n" and publication.key == "k" and not publication.removed
                assert publication.info == INFO and publication.tags == {"kind": "a", "empty": ""}
                assert publication.time_ms > 0

        self.run(scenario)

    def test_a_removal_carries_the_tags_of_the_key(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable
            await broker.subscribe(channel)
            await broker.publish(channel, "k", b"1", MapPublishOptions(retention=retention, tags={"t": "1"}))
            await broker.remove(channel, "k", MapRemoveOptions(retention=retention))
            removal = (await events.wait_publications(2))[1]
            assert removal.publication.removed and removal.publication.key == "k" and not removal.publication.data
            assert removal.publication.tags == {"t": "1"} and removal.position.offset == 2
            assert await broker.count_keys(channel) == 0
            changes, _ = await broker.read_stream(channel, WHOLE_STREAM, retention)
            assert keyed(changes) == [("k", b"1"), ("k", b"-")] and changes[1].tags == {"t": "1"}

        self.run(scenario)

    def test_removing_what_is_not_there_is_suppressed(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, options = self.channel(), MapRemoveOptions(retention=self.recoverable)
            await broker.subscribe(channel)
            nowhere = await broker.remove(channel, "k", options)
            assert nowhere.suppressed and nowhere.reason == "key_not_found"
            written = await broker.publish(channel, "a", b"1", MapPublishOptions(retention=self.recoverable))
            absent = await broker.remove(channel, "k", options)
            assert absent.reason == "key_not_found" and absent.position == written.position
            assert len(await events.wait_publications(1)) == 1

        self.run(scenario)

    def test_the_first_change_tells_the_epoch(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, options = self.channel(), MapPublishOptions(retention=self.recoverable)
            await broker.subscribe(channel)
            first = await broker.publish(channel, "a", b"1", options)
            await broker.publish(channel, "b", b"2", options)
            arrived = await events.wait_publications(2)
            assert [event.publication.epoch for event in arrived] == [first.position.epoch, ""]
            assert [event.position.epoch for event in arrived] == [first.position.epoch] * 2

        self.run(scenario)

    def test_a_patch_builds_on_the_same_key(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel = self.channel()
            await broker.subscribe(channel)
            options = MapPublishOptions(retention=self.recoverable, use_delta=True)
            for key, data in (("a", b"a1"), ("b", b"b1"), ("a", b"a2")):
                await broker.publish(channel, key, data, options)
            arrived = await events.wait_publications(3)
            assert [event.previous and event.previous.data for event in arrived] == [None, None, b"a1"]
            assert all(event.use_delta for event in arrived)

        self.run(scenario)

    def test_limits_of_a_page(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.persistent
            for key in "edcba":
                await broker.publish(channel, key, b"1", MapPublishOptions(retention=retention))
            nothing = await broker.read_state(channel, StateFilter(), retention)
            assert not nothing.entries and nothing.position.offset == 5 and not nothing.cursor
            one = await broker.read_state(channel, StateFilter(key="c", limit=0), retention)
            assert [each.key for each in one.entries] == ["c"]
            none = await broker.read_state(channel, StateFilter(key="x", limit=3), retention)
            assert not none.entries
            whole = await broker.read_state(channel, StateFilter(limit=5), retention)
            assert len(whole.entries) == 5 and not whole.cursor
            if self.exact_pages:
                page = await broker.read_state(channel, StateFilter(limit=2), retention)
                assert len(page.entries) == 2 and page.cursor
            if self.keeps_order:
                assert [each.key for each in whole.entries] == list("abcde")

        self.run(scenario)

    def test_pages_neither_skip_nor_repeat_while_keys_change(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.persistent
            options = MapPublishOptions(retention=retention)
            for number in range(60):
                await broker.publish(channel, f"k{number:03}", b"old", options)
            seen: list[str] = []
            page = await broker.read_state(channel, StateFilter(limit=7), retention)
            for turn in range(100):
                seen += [each.key for each in page.entries]
                if not page.cursor:
                    break
                await broker.publish(channel, f"k{turn:03}", b"new", options)
                await broker.publish(channel, f"j{turn:03}", b"added", options)
                await broker.remove(channel, f"j{turn:03}", MapRemoveOptions(retention=retention))
                page = await broker.read_state(channel, StateFilter(page.cursor, 7), retention)
            stayed = [key for key in seen if key.startswith("k")]
            assert sorted(stayed) == [f"k{number:03}" for number in range(60)]

        self.run(scenario)

    def test_a_cursor_whose_key_is_gone_goes_on_behind_it(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            if not (self.exact_pages and self.keeps_order):
                raise SkipTest("pages are not exact")
            channel, retention = self.channel(), self.persistent
            for key in "abcd":
                await broker.publish(channel, key, b"1", MapPublishOptions(retention=retention))
            page = await broker.read_state(channel, StateFilter(limit=2), retention)
            for key in "ab":
                await broker.remove(channel, key, MapRemoveOptions(retention=retention))
            rest = await broker.read_state(channel, StateFilter(page.cursor, 10), retention)
            assert [each.key for each in rest.entries] == ["c", "d"]

        self.run(scenario)

    def test_an_ordered_map_goes_by_score(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            if not self.ordered:
                raise SkipTest("no scores")
            channel = self.channel()
            retention = MapRetention(stream_size=10, stream_ttl_seconds=self.ttl_seconds, ordered=True)
            for key, score in (("a", 5), ("b", -1), ("c", 9), ("d", 5), ("b", 7)):
                await broker.publish(channel, key, b"1", MapPublishOptions(retention=retention, score=score))
            descending = []
            wanted = StateFilter(limit=1)
            while True:
                page = await broker.read_state(channel, wanted, retention)
                descending += [(each.key, each.score) for each in page.entries]
                if not page.cursor:
                    break
                wanted = StateFilter(page.cursor, 1)
            assert descending == [("c", 9), ("b", 7), ("d", 5), ("a", 5)]
            page = await broker.read_state(channel, StateFilter(limit=-1, asc=True), retention)
            assert [each.key for each in page.entries] == ["a", "d", "b", "c"]

        self.run(scenario)

    def test_the_stream_is_read_by_position(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.persistent
            for number in range(1, 13):
                await broker.publish(channel, f"k{number}", b"%d" % number, MapPublishOptions(retention=retention))

            async def offsets(wanted: HistoryFilter) -> list[int]:
                changes, position = await broker.read_stream(channel, wanted, retention)
                assert position.offset == 12
                return [change.offset for change in changes]

            epoch = (await broker.read_stream(channel, HistoryFilter(), retention))[1].epoch
            assert await offsets(HistoryFilter()) == []
            assert await offsets(WHOLE_STREAM) == list(range(3, 13))
            assert await offsets(HistoryFilter(2, StreamPosition(10, epoch))) == [11, 12]
            assert await offsets(HistoryFilter(-1, StreamPosition(12, epoch))) == []
            assert await offsets(HistoryFilter(2, None, True)) == [12, 11]
            assert await broker.count_keys(channel) == 12

        self.run(scenario)

    def test_clear_drops_everything_and_makes_a_fresh_epoch(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable
            await broker.subscribe(channel)
            options = MapPublishOptions(retention=retention, idempotency_key="i")
            epochs = set()
            for turn in range(3):
                result = await broker.publish(channel, "k", b"1", options)
                assert result.position.offset == 1 and not result.suppressed
                epochs.add(result.position.epoch)
                await broker.clear(channel)
                assert await broker.count_keys(channel) == 0
                page = await broker.read_state(channel, WHOLE_STATE, retention)
                assert not page.entries and page.position.offset == 0
                assert page.position.epoch not in epochs
                assert await events.wait_lost_states(turn + 1) == [channel] * (turn + 1)
            assert len(epochs) == 3

        self.run(scenario)

    def test_epochs_of_maps_differ_and_stay(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channels = [self.channel() for _ in range(20)]
            epochs = [(await broker.read_state(each, WHOLE_STATE, self.recoverable)).position.epoch for each in channels]
            assert len(set(epochs)) == 20 and all(epochs)
            again = [(await broker.read_stream(each, WHOLE_STREAM, self.recoverable))[1].epoch for each in channels]
            assert again == epochs

        self.run(scenario)
