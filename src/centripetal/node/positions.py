"""Where the positioned subscribers of a channel stand: one position for all of them in this process.

A publication that does not follow on the position shows that some were missed. The node then reads them from the
broker, once, and delivers them in order; only if it cannot do so are the subscribers told that continuity is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import structlog

from ..fanout.channel import Channel
from ..interfaces import BrokerError, Clock, HistoryFilter
from ..model import Publication, StreamPosition
from .eager import run_eagerly
from .sources import Sources

HEALED_PUBLICATIONS = 10_000
"""At most so many missed publications are read to close a gap."""

PUBLICATIONS_A_SLICE = 100
"""So many missed publications are delivered in one go."""

CHECKS_A_SECOND = 1000
"""Positions of at most so many channels are compared with the broker's in a second."""

Arrival = tuple[Publication, StreamPosition, bool, "Publication | None"]
"""(publication, position, use_delta, previous) as a broker gives it to its events."""


class Position:
    """The place of a channel's positioned subscribers.

    Attributes:
        offset, epoch: of the last publication that they got.
        origin: offset at which the first of them came; what arrives up to there is news to subscribers without position.
        holders: how many of them there are.
        checked_at: monotonic seconds of the last comparison with the broker.
        suspicious: the last comparison failed; the next one decides.
        waiting: publications that arrive while a gap is being closed; None otherwise.
        healed: done when the gap is closed, for those who wait for it.
    """

    __slots__ = (
        "checked_at", "epoch", "healed", "history_meta_ttl_seconds", "holders", "offset", "origin", "suspicious", "waiting",
    )  # fmt: skip

    def __init__(self, offset: int, epoch: str, now: float, history_meta_ttl_seconds: float) -> None:
        self.offset = self.origin = offset
        self.epoch = epoch
        self.holders = 0
        self.checked_at = now
        self.suspicious = False
        self.waiting: deque[Arrival] | None = None
        self.healed: asyncio.Future[None] | None = None
        self.history_meta_ttl_seconds = history_meta_ttl_seconds


class Positions:
    """Follows the positions of all channels with positioned subscribers.

    Attributes:
        check_delay_seconds, max_time_lag_seconds: as given; they may change.
    """

    def __init__(
        self,
        sources: Sources,
        clock: Clock,
        deliver: Callable[[Channel, Publication, Publication | None, str], None],
        deliver_late: Callable[[Channel, Publication], None],
        lose: Callable[[Channel], None],
        *,
        check_delay_seconds: float,
        max_time_lag_seconds: float,
    ) -> None:
        """Makes an empty set of positions.

        Args:
            sources: where missed publications are read.
            clock: the time.
            deliver: hands a publication to a channel's subscribers, with the base of patches and its epoch.
            deliver_late: hands one to those subscribers only whose position is not followed.
            lose: tells a channel's positioned subscribers that continuity is lost.
            check_delay_seconds: `client.channel_position_check_delay`; 0 for no checks.
            max_time_lag_seconds: `client.channel_position_max_time_lag`; 0 for no bound.
        """
        self._sources = sources
        self._clock = clock
        self._deliver = deliver
        self._deliver_late = deliver_late
        self._lose = lose
        self.check_delay_seconds = check_delay_seconds
        self.max_time_lag_seconds = max_time_lag_seconds
        self._due: dict[Channel, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def hold(self, channel: Channel, top: StreamPosition, history_meta_ttl_seconds: float) -> Position:
        """Counts a positioned subscriber that stands at `top`, where agrees() says that the channel stands, too."""
        position = channel.position
        if position is None:
            now = self._clock.monotonic()
            position = channel.position = Position(top.offset, top.epoch, now, history_meta_ttl_seconds)
            if self.check_delay_seconds > 0:
                self._due[channel] = None
        position.holders += 1
        return position  # type: ignore[no-any-return]

    def release(self, channel: Channel, held: Position | None = None) -> None:
        """Counts one less.

        Args:
            channel: of the subscriber.
            held: what hold() returned; nothing is done when the channel has another position by now.
        """
        position = channel.position
        if position is None or (held is not None and held is not position):
            return
        position.holders -= 1
        if position.holders <= 0:
            channel.position = None
            self._due.pop(channel, None)

    def agrees(self, channel: Channel, top: StreamPosition) -> bool:
        """Whether a subscriber that stands at `top` stands where the channel's others do."""
        position = channel.position
        if position is None:
            return True
        return position.waiting is None and position.offset == top.offset and position.epoch == top.epoch

    async def reach(self, channel: Channel, top: StreamPosition) -> None:
        """Brings a channel at least to a position that was read from the history, before somebody goes live there."""
        position = channel.position
        if position is None:
            return
        if position.waiting is None:
            # What was read from another stream may be old by now, so that is read again before anybody is told.
            if position.epoch in ("", top.epoch) and position.offset >= top.offset:
                return
            position.waiting = deque()
            self._start(self._heal(channel, position))
        if position.healed is None:
            position.healed = asyncio.get_running_loop().create_future()
        await asyncio.shield(position.healed)

    def accept(self, channel: Channel, arrival: Arrival) -> bool:
        """Decides about a publication that has an offset.

        Returns:
            Whether to deliver it now; otherwise it was had before, or waits until a gap is closed.
        """
        position = channel.position
        if position.waiting is not None:
            position.waiting.append(arrival)
            return False
        publication, top = arrival[0], arrival[1]
        if top.epoch != position.epoch:
            if position.epoch:
                self.lose(channel)
                return True
            position.epoch = top.epoch
        if publication.offset == position.offset + 1:
            if self.max_time_lag_seconds and self._lags(publication):
                self.lose(channel)
                return True
            position.offset = publication.offset
            return True
        if publication.offset > position.offset:
            position.waiting = deque([arrival])
            self._start(self._heal(channel, position))
        elif publication.offset <= position.origin:
            self._deliver_late(channel, publication)
        return False

    def _lags(self, publication: Publication) -> bool:
        if not publication.time_ms:
            return False
        return self._clock.time() - publication.time_ms / 1000 > self.max_time_lag_seconds

    def lose(self, channel: Channel) -> None:
        """Tells a channel's positioned subscribers that continuity is lost, and forgets where they stood."""
        channel.position = None
        self._due.pop(channel, None)
        self._lose(channel)

    async def _heal(self, channel: Channel, position: Position) -> None:
        """Reads what was missed and delivers it; then what arrived meanwhile."""
        try:
            healed = await self._deliver_missed(channel, position)
        except BrokerError as error:
            structlog.get_logger("centripetal.node").warning("gap_not_closed", channel=channel.name, error=str(error))
            healed = False
        waiting, position.waiting = position.waiting, None
        done, position.healed = position.healed, None
        if done is not None and not done.done():
            done.set_result(None)
        if channel.position is position and not healed:
            self.lose(channel)
        for arrival in waiting or ():
            publication, top, use_delta, previous = arrival
            if channel.position is None or self.accept(channel, arrival):
                self._deliver(channel, publication, previous if use_delta else None, top.epoch)

    async def _deliver_missed(self, channel: Channel, position: Position) -> bool:
        since = StreamPosition(position.offset, position.epoch)
        missed, top = await self._sources.history(
            channel.name, HistoryFilter(HEALED_PUBLICATIONS, since), position.history_meta_ttl_seconds
        )
        if not position.epoch:
            position.epoch = top.epoch
        if top.epoch != position.epoch or not follows(position.offset, missed, top.offset):
            return False
        for number, publication in enumerate(missed, 1):
            if channel.position is not position:
                return True
            position.offset = publication.offset
            self._deliver(channel, publication, None, top.epoch)
            if number % PUBLICATIONS_A_SLICE == 0:
                await asyncio.sleep(0)
        position.checked_at = self._clock.monotonic()
        return True

    def suspect(self, channels: Iterable[Channel]) -> None:
        """Has positions compared with the broker's soon: what was published lately may not have come.

        Args:
            channels: all, with or without a position.
        """
        for channel in channels:
            if channel.position is not None:
                channel.position.checked_at = -math.inf
                self._due[channel] = None

    def check_due(self) -> None:
        """Compares positions with the broker's, of those channels whose time has come."""
        now = self._clock.monotonic()
        for channel in list(islice(self._due, CHECKS_A_SECOND)):
            position = channel.position
            if position is not None and now - position.checked_at < self.check_delay_seconds:
                break
            del self._due[channel]
            if position is not None:
                position.checked_at = now
                if self.check_delay_seconds > 0:
                    self._due[channel] = None
                self._run(self._check(channel, position))

    async def _check(self, channel: Channel, position: Position) -> None:
        """Compares a position with the stream's top. One that differs is confirmed before anybody is told."""
        try:
            _, top = await self._sources.history(channel.name, HistoryFilter(), position.history_meta_ttl_seconds)
        except BrokerError:
            return  # the next check comes
        if channel.position is not position or position.waiting is not None:
            return
        if top.epoch == position.epoch and top.offset == position.offset:
            position.suspicious = False
        elif top.epoch == position.epoch and top.offset > position.offset and not position.suspicious:
            position.suspicious = True  # it may still be on its way
            asyncio.get_running_loop().call_later(1.0, self._confirm, channel, position)
        elif top.epoch == position.epoch and top.offset > position.offset:
            position.suspicious = False
            position.waiting = deque()
            self._start(self._heal(channel, position))
        elif not position.suspicious:
            position.suspicious = True
            asyncio.get_running_loop().call_later(1.0, self._confirm, channel, position)
        elif top.epoch != position.epoch or top.offset < position.offset:
            self.lose(channel)

    def _confirm(self, channel: Channel, position: Position) -> None:
        if channel.position is position and position.suspicious:
            self._start(self._check(channel, position))

    def _run(self, coroutine: Any) -> None:
        """Runs a coroutine, which with an engine in memory costs no task."""
        done, task = run_eagerly(coroutine)
        if not done:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def follows(offset: int, publications: list[Publication], top: int) -> bool:
    """Whether publications lead from an offset to the top without a hole."""
    if not publications:
        return offset == top
    return (
        publications[0].offset == offset + 1
        and publications[-1].offset == top
        and len(publications) == top - offset
    )
