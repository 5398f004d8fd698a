"""Who is subscribed to what in this process, and the loop that puts a publication into their outboxes.

Subscribers of a channel are grouped by everything that decides their bytes: encoding, delta, tags filter. A publication
is encoded once per group, and the loop over the members of a group does one append each.

A publication to very many subscribers is handed out in slices (`advance`); until it is through, further publications of
its channel wait behind it, so that order holds. Those who subscribe meanwhile have a sequence number from which on they
get publications.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .outbox import Flusher, Outbox
from .prepared import Encode, Prepared

MEMBERS_A_SLICE = 10_000
"""So many appends are done in one go: about two milliseconds."""

FEW = 100
"""A publication to so many subscribers is written before those to more; see Flusher."""


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
    """

    __slots__ = ("encoding", "fossil", "fresh", "lost", "members", "positioned", "tags_filter")

    def __init__(self, encoding: Any, fossil: bool, tags_filter: Any, positioned: bool = False) -> None:
        self.encoding = encoding
        self.fossil = fossil
        self.tags_filter = tags_filter
        self.positioned = positioned
        self.lost = False
        self.members: dict[Outbox, int] = {}
        self.fresh: dict[Outbox, int] = {}

    def __len__(self) -> int:
        return len(self.members) + len(self.fresh)

    def __iter__(self) -> Iterator[Outbox]:
        yield from self.members
        yield from self.fresh

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
        backlog: publications that wait behind one that is being handed out in slices.
        holders: subscriptions that keep the channel in the hub, live or on their way.
    """

    __slots__ = (
        "backlog", "base_offset", "epoch", "groups", "holders", "joining", "name", "num_live", "position", "sequence",
        "watchers",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.groups: dict[tuple[Any, bool, Any, bool], Group] = {}
        self.watchers: dict[Any, dict[Outbox, None]] = {}
        self.joining: dict[Outbox, list[tuple[Any, str]]] = {}
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
    ) -> Group:
        """Makes a subscriber live.

        Args:
            outbox: of the connection; once per channel.
            encoding: of its transport.
            fossil: it negotiated delta.
            tags_filter: see Group.
            positioned: its position is followed.
            base_offset: offset of the publication that it got last, 0 for none; patches need it.

        Returns:
            The group, for remove().
        """
        key = (encoding, fossil, tags_filter, positioned)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(encoding, fossil, tags_filter, positioned)
        if not fossil:
            group.members[outbox] = self.sequence
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


class Hub:
    """The channels with subscribers in this process.

    Attributes:
        channels: by name.
        filtered: publications that tag filters kept from subscribers.
        num_live: live subscriptions.
    """

    def __init__(
        self,
        flusher: Flusher,
        encode: Encode,
        schedule: Callable[[Callable[[], None]], object],
        cannot_encode: Callable[[Outbox], None],
        count: Callable[[Any, int, int], None],
    ) -> None:
        """Makes an empty hub.

        Args:
            flusher: gets the outboxes that have something to write.
            encode: see prepared.Encode.
            schedule: calls a function at the end of the turn, like `loop.call_soon`.
            cannot_encode: what to do with a subscriber whose encoding cannot carry a publication.
            count: (encoding, bytes of a frame, subscribers), for metrics; once per group and publication.
        """
        self.channels: dict[str, Channel] = {}
        self.filtered = 0
        self.num_live = 0
        self._flusher = flusher
        self._encode = encode
        self._schedule = schedule
        self._cannot_encode = cannot_encode
        self._count = count
        self._work: deque[Iterator[None]] = deque()

    def hold(self, name: str) -> Channel:
        """Returns the channel, made if need be, and keeps it until release()."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name)
        channel.holders += 1
        return channel

    def release(self, channel: Channel) -> bool:
        """Gives up a hold; returns whether it was the last, so that the channel is gone."""
        channel.holders -= 1
        if channel.holders == 0:
            if self.channels.get(channel.name) is channel:
                del self.channels[channel.name]
            return True
        return False

    def deliver(self, channel: Channel, publication: Any, base: Any = None, epoch: str = "") -> None:
        """Puts a publication into the outboxes of the channel's subscribers, each in its own form.

        Args:
            channel: of this hub.
            publication: with `data`, `offset`, `tags`; passed on to `encode`.
            base: the publication before it in the stream, when patches are wanted.
            epoch: of its stream, empty without history.
        """
        channel.sequence += 1
        if channel.joining:
            for waiting in channel.joining.values():
                waiting.append((publication, epoch))
        if channel.backlog is not None:
            channel.backlog.append((publication, base, epoch, channel.sequence))
        elif channel.num_live > MEMBERS_A_SLICE:
            channel.backlog = deque([(publication, base, epoch, channel.sequence)])
            self._work.append(self._hand_out(channel))
            if len(self._work) == 1:
                self._schedule(self.advance)
        else:
            self._deliver_at_once(channel, publication, base, epoch)

    def _deliver_at_once(self, channel: Channel, publication: Any, base: Any, epoch: str) -> None:
        prepared = self._prepare(channel, publication, base, epoch)
        flusher = self._flusher
        mark = (flusher.prompt if channel.num_live <= FEW else flusher.bulk).append
        undeliverable: list[Outbox] = []
        for group in channel.groups.values():
            tags_filter = group.tags_filter
            if tags_filter is not None and not tags_filter.matches(publication.tags):
                self.filtered += len(group)
                group.lose_base()
                continue
            if group.members:
                frame = prepared.for_ready(group)
                if frame is None:
                    undeliverable.extend(group)
                    continue
                self._count(group.encoding, len(frame), len(group.members))
                for outbox in group.members:
                    pending = outbox.pending
                    if not pending:
                        mark(outbox)
                    pending.append(frame)
            if group.fresh:
                frame = prepared.full(group)
                if frame is None:
                    undeliverable.extend(group.fresh)
                    continue
                self._count(group.encoding, len(frame), len(group.fresh))
                for outbox in group.fresh:
                    pending = outbox.pending
                    if not pending:
                        mark(outbox)
                    pending.append(frame)
                group.settle()
        flusher.wake()
        for outbox in undeliverable:
            self._cannot_encode(outbox)

    def deliver_late(self, channel: Channel, publication: Any) -> None:
        """Gives a publication to those whose position is not followed: the others had it from the history."""
        prepared = Prepared(self._encode, channel.name, publication, None)
        for group in list(channel.groups.values()):
            if group.positioned:
                continue
            group.lose_base()
            if group.tags_filter is not None and not group.tags_filter.matches(publication.tags):
                self.filtered += len(group)
                continue
            frame = prepared.full(group)
            if frame is not None:
                self._count(group.encoding, len(frame), len(group))
            for outbox in list(group):
                if frame is None:
                    self._cannot_encode(outbox)
                else:
                    self._flusher.put(outbox, frame)

    def _prepare(self, channel: Channel, publication: Any, base: Any, epoch: str) -> Prepared:
        """Makes the frames' source; patches only build on what all ready subscribers got last."""
        if epoch and epoch != channel.epoch:
            if channel.epoch:
                base = None  # the same offset is another publication there
            channel.epoch = epoch
        if base is not None and base.offset != channel.base_offset:
            base = None
        channel.base_offset = publication.offset
        return Prepared(self._encode, channel.name, publication, base)

    def _hand_out(self, channel: Channel) -> Iterator[None]:
        """Hands out a channel's backlog, pausing after each slice."""
        backlog = channel.backlog
        assert backlog is not None
        while backlog:
            publication, base, epoch, sequence = backlog[0]
            prepared = self._prepare(channel, publication, base, epoch)
            for group in list(channel.groups.values()):
                tags_filter = group.tags_filter
                if group.lost:
                    continue
                if tags_filter is not None and not tags_filter.matches(publication.tags):
                    self.filtered += len(group)
                    group.lose_base()
                    continue
                ready, fresh = list(group.members), list(group.fresh)
                yield from self._append_in_slices(group, group.members, ready, prepared.for_ready(group), sequence)
                if fresh:
                    yield from self._append_in_slices(group, group.fresh, fresh, prepared.full(group), sequence)
                for outbox in fresh:
                    came = group.fresh.get(outbox)
                    if came is not None and came < sequence:
                        del group.fresh[outbox]
                        group.members[outbox] = came
            backlog.popleft()
        channel.backlog = None

    def _append_in_slices(
        self,
        group: Group,
        members: dict[Outbox, int],
        snapshot: list[Outbox],
        frame: bytes | None,
        sequence: int,
    ) -> Iterator[None]:
        if frame is not None:
            self._count(group.encoding, len(frame), len(snapshot))
        for start in range(0, len(snapshot), MEMBERS_A_SLICE):
            if group.lost:
                return
            mark = self._flusher.bulk.append
            for outbox in snapshot[start : start + MEMBERS_A_SLICE]:
                if members.get(outbox, sequence) >= sequence:
                    continue  # left meanwhile, or came after this publication
                if frame is None:
                    self._cannot_encode(outbox)
                    continue
                pending = outbox.pending
                if not pending:
                    mark(outbox)
                pending.append(frame)
            self._flusher.wake()
            yield

    def advance(self) -> None:
        """Does one slice of what waits, and asks to be called again for the rest."""
        work = self._work
        iterator = work.popleft()
        try:
            next(iterator)
        except StopIteration:
            pass
        else:
            work.append(iterator)
        if work:
            self._schedule(self.advance)

    def deliver_event(self, channel: Channel, encode: Callable[[Any], bytes | None]) -> None:
        """Puts a join or leave into the outboxes of those who watch.

        Args:
            channel: of this hub.
            encode: encoding -> the frame, or None when it cannot carry the event.
        """
        mark = (self._flusher.prompt if channel.num_live <= FEW else self._flusher.bulk).append
        for encoding, members in list(channel.watchers.items()):
            frame = encode(encoding)
            for outbox in list(members):
                if frame is None:
                    self._cannot_encode(outbox)
                    continue
                pending = outbox.pending
                if not pending:
                    mark(outbox)
                pending.append(frame)
        self._flusher.wake()
