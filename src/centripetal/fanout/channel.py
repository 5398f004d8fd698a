"""A channel with subscribers in this process, and the groups in which they get the same bytes.

Subscribers are grouped by everything that decides their bytes: encoding, delta, tags filter. Patches of a stream build on
the publication before, which all ready members of a group have. Patches of a map build on the value before of the same
key: who has read the whole state has it, unless its filter kept that value away; who has recovered has what is newer than
the position that it asked for. Without offsets nobody can tell whether a state that was read is older or newer than a
change that arrives, so that patches build on what was delivered only.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Protocol

from .changes import ChangeLog
from .outbox import Outbox

REMEMBERED_VALUES = 1000
"""So many keys of a map without offsets keep the value that was delivered last, as a base of patches."""


class Waiting(Protocol):
    """Takes publications for somebody who is not live yet."""

    def append(self, arrival: tuple[Any, str], /) -> None:
        """Puts a publication aside, with the epoch of its stream."""


class Group:
    """Subscribers of a channel that get the same bytes.

    Attributes:
        encoding: what frames are made with; opaque here.
        fossil: they negotiated Fossil delta.
        tags_filter: decides which publications they get; None for all. Has `matches(tags) -> bool`.
        members: those who have the publication that the next patch builds on (without delta: all), each with the
            channel's sequence number at which they came.
        fresh: those who must get a whole payload first; empty without delta.
        positioned: their position is followed.
        lost: they were taken out of the channel, because their position is lost; each has yet to be told.
        since: of a map: the fresh ones have got every change behind this offset.
        newest: the channel's sequence number at which the last one of them came.
    """

    __slots__ = ("encoding", "fossil", "fresh", "lost", "members", "newest", "positioned", "since", "tags_filter")

    def __init__(self, encoding: Any, fossil: bool, tags_filter: Any, positioned: bool = False) -> None:
        self.encoding = encoding
        self.fossil = fossil
        self.tags_filter = tags_filter
        self.positioned = positioned
        self.lost = False
        self.members: dict[Outbox, int] = {}
        self.fresh: dict[Outbox, int] = {}
        self.since = 0
        self.newest = 0

    def __len__(self) -> int:
        return len(self.members) + len(self.fresh)

    def __iter__(self) -> Iterator[Outbox]:
        yield from self.members
        yield from self.fresh

    def wants(self, publication: Any) -> bool:
        """Whether the filter lets a publication through."""
        return self.tags_filter is None or self.tags_filter.matches(publication.tags)

    def settle(self) -> None:
        """All have got the same publication now."""
        if self.fresh:
            self.members.update(self.fresh)
            self.fresh = {}

    def lose_base(self) -> None:
        """None of them has got the publication that the next patch builds on."""
        if self.fossil and self.members:
            self.fresh.update(self.members)
            self.members = {}


class Channel:
    """A channel with subscribers in this process.

    Attributes:
        name: the channel.
        groups: subscribers that are live, by (encoding, fossil, tags filter, positioned).
        watchers: those who get joins and leaves, by encoding.
        joining: subscribers between reading the history and going live, each with the publications that came meanwhile
            and the epochs of their stream.
        position: where its positioned subscribers stand; belongs to the node.
        base_offset: offset of the publication that patches may build on; 0 for none.
        epoch: of the stream that the last publication with one belongs to.
        sequence: number of publications accepted.
        changes: changes of a map, kept while somebody reads its state in pages; see ChangeLog.
        delivered: of a map without offsets: by key, the value delivered last and its sequence number.
        backlog: publications that wait behind one that is being handed out in slices.
        holders: subscriptions that keep the channel in the hub, live or on their way.
    """

    __slots__ = (
        "backlog", "base_offset", "changes", "delivered", "epoch", "groups", "holders", "joining", "name", "num_live", "position", "sequence",
        "watchers",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.groups: dict[tuple[Any, bool, Any, bool], Group] = {}
        self.watchers: dict[Any, dict[Outbox, None]] = {}
        self.joining: dict[Any, Waiting] = {}
        self.changes: ChangeLog | None = None
        self.delivered: OrderedDict[str, tuple[Any, int]] | None = None
        self.position: Any = None
        self.base_offset = 0
        self.epoch = ""
        self.sequence = 0
        self.backlog: deque[tuple[Any, Any, str, int]] | None = None
        self.holders = 0
        self.num_live = 0

    def add(
        self,
        outbox: Outbox,
        encoding: Any,
        *,
        fossil: bool = False,
        tags_filter: Any = None,
        positioned: bool = False,
        base_offset: int = 0,
        since: int | None = None,
    ) -> Group:
        """Makes a subscriber live.

        Args:
            outbox: of the connection; once per channel.
            encoding: of its transport.
            fossil: it negotiated delta.
            tags_filter: see Group.
            positioned: its position is followed.
            base_offset: offset of the publication that it got last, 0 for none; patches need it.
            since: of a map: it has got every change behind this offset; 0 if it has the whole state. None otherwise.

        Returns:
            The group, for remove().
        """
        key = (encoding, fossil, tags_filter, positioned)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(encoding, fossil, tags_filter, positioned)
        group.newest = self.sequence
        if not fossil:
            group.members[outbox] = self.sequence
        elif since is not None:
            group.since = max(group.since, since)
            (group.fresh if since else group.members)[outbox] = self.sequence
        else:
            if base_offset and not any(other.members for other in self.groups.values() if other.fossil):
                self.base_offset = base_offset
            ready = base_offset != 0 and base_offset == self.base_offset and not self.backlog
            (group.members if ready else group.fresh)[outbox] = self.sequence
        self.num_live += 1
        return group

    def remove(self, outbox: Outbox, group: Group) -> None:
        """Ends a live subscription."""
        if group.members.pop(outbox, None) is None and group.fresh.pop(outbox, None) is None:
            return
        if group.lost:
            return
        self.num_live -= 1
        if not group:
            self.groups.pop((group.encoding, group.fossil, group.tags_filter, group.positioned), None)

    def take_positioned(self) -> list[Group]:
        """Takes out the groups whose position is followed, since it is lost; they get nothing any more."""
        taken = [group for group in self.groups.values() if group.positioned]
        for group in taken:
            group.lost = True
            self.num_live -= len(group)
            del self.groups[(group.encoding, group.fossil, group.tags_filter, group.positioned)]
        return taken

    def exchange_value(self, publication: Any, sequence: int) -> tuple[Any, int]:
        """Remembers a change of a map without offsets as delivered.

        Returns:
            The value delivered before with the same key, and its sequence number; None and 0 when it is not known.
        """
        if not any(group.fossil for group in self.groups.values()):
            self.delivered = None
            return None, 0
        if self.delivered is None:
            self.delivered = OrderedDict()
        before = self.delivered.pop(publication.key, (None, 0))
        if not publication.removed:
            self.delivered[publication.key] = (publication, sequence)
            if len(self.delivered) > REMEMBERED_VALUES:
                self.delivered.popitem(last=False)
        return before

    def watch(self, outbox: Outbox, encoding: Any) -> None:
        """Lets a subscriber get joins and leaves."""
        self.watchers.setdefault(encoding, {})[outbox] = None

    def unwatch(self, outbox: Outbox, encoding: Any) -> None:
        """Ends that."""
        members = self.watchers.get(encoding)
        if members is not None:
            members.pop(outbox, None)
            if not members:
                del self.watchers[encoding]
