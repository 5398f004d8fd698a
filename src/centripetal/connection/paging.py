"""A map subscription on its way: its state, and perhaps its changes, are read page by page.

Between two pages nothing runs. What changes meanwhile is in the map's stream; where there is none, or where it does not
reach back far enough, it is in the channel's log of changes, which is kept once for all who are reading (`ChangeLog`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fanout.changes import ChangeLog
from ..fanout.tags_filter import TagsFilter
from ..interfaces import MapRetention
from ..model import Publication, StreamPosition
from .grant import Grant
from .subscription import Subscription

if TYPE_CHECKING:
    from .client import Client


class Paging(Subscription):
    """A reservation of a channel, from the first page until it is live.

    Attributes:
        name: the channel.
        grant: what it will be.
        retention: of the map.
        tags_filter: of the subscription.
        deadline: monotonic seconds by which it must be live; 0 for never.
        busy: a page is being read.
        frozen: where the map stood at the first page of the state; None when no page was read.
        epoch: of that, or of the position that the client recovers from.
        stream_end: offset up to which changes are read in pages; None before the first.
        log: the changes since the first page; None when no page of the state was read.
    """

    __slots__ = (
        "busy", "deadline", "epoch", "frozen", "grant", "log", "name", "retention", "seen", "start", "stream_end",
        "tags_filter",
    )  # fmt: skip

    def __init__(
        self, name: str, grant: Grant, retention: MapRetention, tags_filter: TagsFilter | None, deadline: float
    ) -> None:
        super().__init__()
        self.name = name
        self.grant = grant
        self.retention = retention
        self.tags_filter = tags_filter
        self.deadline = deadline
        self.busy = False
        self.frozen: StreamPosition | None = None
        self.epoch = ""
        self.stream_end: int | None = None
        self.log: ChangeLog | None = None
        self.start = 0
        self.seen: dict[str, int] = {}

    async def begin(self, client: Client) -> None:
        """Has changes logged from now on.

        Raises:
            BrokerError: the broker cannot subscribe.
        """
        channel = self.channel = await client.node.interest.hold(self.name)
        if channel.changes is None or channel.changes.broken:
            channel.changes = ChangeLog()
            channel.joining[channel.changes] = channel.changes
        self.log = channel.changes
        self.start = self.log.begin(self)

    def note_read(self, entries: list[Publication], mark: int) -> None:
        """Remembers which logged changes the entries of a page contain already.

        Args:
            entries: just read.
            mark: number of the last change before they were.
        """
        assert self.log is not None
        for entry in entries:
            number = self.log.number_of(entry.key)
            if self.start < number <= mark:
                self.seen[entry.key] = number

    def unseen(self) -> list[Publication]:
        """Returns the latest change of each key that changed since its page was read."""
        if self.log is None:
            return []
        return [
            publication
            for number, publication in self.log.after(self.start)
            if number > self.seen.get(publication.key, 0)
        ]

    def bridge(self) -> StreamPosition | None:
        """Returns up to where the log tells every change behind the first page; None if it does not."""
        log, frozen = self.log, self.frozen
        if log is None or frozen is None or log.broken:
            return None
        if self.start == 0 and log.sequence and log.origin > frozen.offset + 1:
            return None
        return StreamPosition(max(log.top, frozen.offset), frozen.epoch)

    def is_wanted(self, publication: Publication) -> bool:
        """Whether the subscriber's filter lets a publication through."""
        return self.tags_filter is None or self.tags_filter.matches(publication.tags)

    def finish(self) -> None:
        """A page is done; whoever waits for the subscription may look."""
        self.busy = False
        settled, self.settled = self.settled, None
        if settled is not None and not settled.done():
            settled.set_result(None)

    def release(self, client: Client) -> None:
        """Ends the log of changes; any further call does nothing."""
        channel, log = self.channel, self.log
        self.channel = self.log = None
        if channel is None:
            return
        if log is not None and log.end(self):
            channel.joining.pop(log, None)
            if channel.changes is log:
                channel.changes = None
        client.node.interest.release(channel)

    def abandon(self, client: Client) -> None:
        """Gives up the reservation."""
        if client.subscriptions.get(self.name) is self:
            del client.subscriptions[self.name]
        self.release(client)
        self.finish()
