"""What every map broker must do: conditions of writes, and lifetimes."""

from __future__ import annotations

from ..interfaces import BrokerError, MapBroker, MapPublishOptions, MapRemoveOptions, MapRetention
from ..model import StreamPosition
from .events import RecordedEvents
from .map_broker_stage import WHOLE_STATE, WHOLE_STREAM, MapBrokerStage, keyed, raises


class MapConditionSuite(MapBrokerStage):
    """Writes that depend on what is there."""

    def test_key_modes(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable
            await broker.subscribe(channel)
            new = MapPublishOptions(retention=retention, key_mode="if_new")
            existing = MapPublishOptions(retention=retention, key_mode="if_exists")
            absent = await broker.publish(channel, "k", b"1", existing)
            assert absent.suppressed and absent.reason == "key_not_found" and absent.position.offset == 0
            first = await broker.publish(channel, "k", b"2", new)
            assert first.position == StreamPosition(1, absent.position.epoch)
            again = await broker.publish(channel, "k", b"3", new)
            assert again.reason == "key_exists" and again.position == first.position
            assert (await broker.publish(channel, "k", b"4", existing)).position.offset == 2
            page = await broker.read_state(channel, WHOLE_STATE, retention)
            assert keyed(page.entries) == [("k", b"4")]
            assert len(await events.wait_publications(2)) == 2

        self.run(scenario)

    def test_versions_belong_to_keys(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable

            async def write(key: str, version: int, epoch: str = "") -> str:
                options = MapPublishOptions(retention=retention, version=version, version_epoch=epoch)
                return (await broker.publish(channel, key, b"1", options)).reason

            assert [await write("a", 5), await write("a", 5), await write("a", 4), await write("a", 6)] == [
                "", "version", "version", "",
            ]  # fmt: skip
            assert await write("a", 1, "new") == "" and await write("a", 1, "new") == "version"
            assert await write("b", 1) == ""
            await broker.publish(channel, "b", b"without", MapPublishOptions(retention=retention))
            assert await write("b", 1) == "version"
            await broker.remove(channel, "b", MapRemoveOptions(retention=retention))
            assert await write("b", 1) == ""

        self.run(scenario)

    def test_a_write_may_expect_where_the_key_stands(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable
            first = await broker.publish(channel, "k", b"1", MapPublishOptions(retention=retention))
            await broker.publish(channel, "other", b"1", MapPublishOptions(retention=retention))

            def expecting(position: StreamPosition) -> MapPublishOptions:
                return MapPublishOptions(retention=retention, expected_position=position)

            done = await broker.publish(channel, "k", b"2", expecting(first.position))
            assert not done.suppressed
            refused = await broker.publish(channel, "k", b"3", expecting(first.position))
            assert refused.reason == "position_mismatch" and refused.position == done.position
            assert refused.current is not None and refused.current.data == b"2"
            assert refused.current.offset == done.position.offset
            wrong_epoch = await broker.publish(channel, "k", b"3", expecting(StreamPosition(3, "other")))
            assert wrong_epoch.reason == "position_mismatch"
            absent = await broker.publish(channel, "absent", b"3", expecting(first.position))
            assert absent.reason == "position_mismatch" and absent.current is None
            removal = MapRemoveOptions(retention=retention, expected_position=first.position)
            assert (await broker.remove(channel, "k", removal)).reason == "position_mismatch"
            assert (await broker.remove(self.channel(), "k", removal)).reason == "position_mismatch"
            removal = MapRemoveOptions(retention=retention, expected_position=done.position)
            assert not (await broker.remove(channel, "k", removal)).suppressed

        self.run(scenario)

    def test_an_idempotency_key_counts_for_writes_and_removals(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, retention = self.channel(), self.recoverable
            once = MapPublishOptions(retention=retention, idempotency_key="i")
            first = await broker.publish(channel, "a", b"1", once)
            second = await broker.publish(channel, "b", b"2", once)
            assert second.suppressed and second.reason == "idempotency" and second.position == first.position
            removal = await broker.remove(channel, "a", MapRemoveOptions(retention=retention, idempotency_key="i"))
            assert removal.reason == "idempotency"
            elsewhere = await broker.publish(self.channel(), "a", b"1", once)
            assert not elsewhere.suppressed
            assert await broker.count_keys(channel) == 1

        self.run(scenario)

    def test_what_needs_a_stream_fails_without_one(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            channel, position = self.channel(), StreamPosition(1, "e")
            for options in (
                MapPublishOptions(retention=self.ephemeral, version=1),
                MapPublishOptions(retention=self.ephemeral, expected_position=position),
            ):
                with raises(BrokerError):
                    await broker.publish(channel, "k", b"1", options)
            with raises(BrokerError):
                await broker.remove(
                    channel, "k", MapRemoveOptions(retention=self.ephemeral, expected_position=position)
                )

        self.run(scenario)


class MapLifetimeSuite(MapBrokerStage):
    """Keys, streams and positions that expire."""

    def test_a_key_expires_and_subscribers_are_told(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            self.be_patient()
            channel, retention = self.channel(), self.recoverable
            await broker.subscribe(channel)
            await broker.publish(channel, "k", b"1", MapPublishOptions(retention=retention, tags={"t": "1"}))
            await self.advance(broker, self.ttl_seconds * 1.1)
            removal = (await events.wait_publications(2))[1].publication
            assert removal.removed and removal.key == "k" and removal.offset == 2 and removal.tags == {"t": "1"}
            assert await broker.count_keys(channel) == 0
            changes, position = await broker.read_stream(channel, WHOLE_STREAM, retention)
            assert keyed(changes) == [("k", b"1"), ("k", b"-")] and position.offset == 2

        self.run(scenario)

    def test_writing_again_renews_the_lifetime(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            self.be_patient()
            channel, retention = self.channel(), self.ephemeral
            renewing = MapPublishOptions(retention=retention, key_mode="if_new", refresh_ttl_on_suppress=True)
            await broker.publish(channel, "written", b"1", MapPublishOptions(retention=retention))
            await broker.publish(channel, "renewed", b"1", renewing)
            await broker.publish(channel, "left", b"1", MapPublishOptions(retention=retention))
            await self.advance(broker, self.ttl_seconds * 0.6)
            await broker.publish(channel, "written", b"2", MapPublishOptions(retention=retention))
            assert (await broker.publish(channel, "renewed", b"2", renewing)).reason == "key_exists"
            await self.advance(broker, self.ttl_seconds * 0.6)
            page = await broker.read_state(channel, WHOLE_STATE, retention)
            assert sorted(keyed(page.entries)) == [("renewed", b"1"), ("written", b"2")]

        self.run(scenario)

    def test_persistent_keys_stay_while_the_stream_goes(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            self.be_patient()
            channel, retention = self.channel(), self.persistent
            written = await broker.publish(channel, "k", b"1", MapPublishOptions(retention=retention))
            await self.advance(broker, self.ttl_seconds * 2)
            page = await broker.read_state(channel, WHOLE_STATE, retention)
            assert keyed(page.entries) == [("k", b"1")] and page.position == written.position
            assert await broker.read_stream(channel, WHOLE_STREAM, retention) == ([], written.position)

        self.run(scenario)

    def test_a_position_that_was_forgotten_does_not_come_back(self) -> None:
        async def scenario(broker: MapBroker, events: RecordedEvents) -> None:
            self.be_patient()
            channel = self.channel()
            retention = MapRetention(
                key_ttl_seconds=self.ttl_seconds / 4,
                stream_size=10,
                stream_ttl_seconds=self.ttl_seconds / 4,
                meta_ttl_seconds=self.ttl_seconds / 2,
            )
            written = await broker.publish(channel, "k", b"1", MapPublishOptions(retention=retention))
            await self.advance(broker, self.ttl_seconds / 3)
            await self.advance(broker, self.ttl_seconds)
            page = await broker.read_state(channel, WHOLE_STATE, retention)
            assert not page.entries and page.position.offset == 0
            assert page.position.epoch not in ("", written.position.epoch)

        self.run(scenario)
