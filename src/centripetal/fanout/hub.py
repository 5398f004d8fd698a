"""Who is subscribed to what in this process, and the loop that puts a publication into their outboxes.

Subscribers of a channel are grouped by everything that decides their bytes (see `channel`). A publication is encoded once
per group, and the loop over the members of a group does one append each.

A publication to very many subscribers is handed out in slices (`advance`); until it is through, further publications of
its channel wait behind it, so that order holds. Those who subscribe meanwhile have a sequence number from which on they
get publications.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .channel import Channel, Group
from .outbox import Flusher, Outbox, put_each
from .prepared import Encode, Prepared

MEMBERS_A_SLICE = 10_000
"""So many appends are done in one go: about two milliseconds."""

FEW = 100
"""A publication to so many subscribers is written before those to more; see Flusher."""


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
            publication: with `data`, `offset`, `tags`, `key`; passed on to `encode`.
            base: the publication before it in the stream (of a map: the one before with the same key), when patches are
                wanted.
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
        prepared = self._prepare(channel, publication, base, epoch, channel.sequence)
        keyed = prepared.keyed
        flusher = self._flusher
        mark = (flusher.prompt if channel.num_live <= FEW else flusher.bulk).append
        undeliverable: list[Outbox] = []
        for group in channel.groups.values():
            tags_filter = group.tags_filter
            if tags_filter is not None and not tags_filter.matches(publication.tags):
                self.filtered += len(group)
                if not keyed:
                    group.lose_base()
                continue
            if group.members:
                frame = prepared.for_ready(group)
                if frame is None:
                    undeliverable.extend(group)
                    continue
                self._count(group.encoding, len(frame), len(group.members))
                put_each(group.members, frame, mark)
            if group.fresh:
                frame = prepared.for_fresh(group)
                if frame is None:
                    undeliverable.extend(group.fresh)
                    continue
                self._count(group.encoding, len(frame), len(group.fresh))
                put_each(group.fresh, frame, mark)
                if not keyed:
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

    def _prepare(self, channel: Channel, publication: Any, base: Any, epoch: str, sequence: int) -> Prepared:
        """Makes the frames' source; patches only build on what all ready subscribers got last, or got of the same key."""
        if epoch and epoch != channel.epoch:
            if channel.epoch:
                base = None  # the same offset is another publication there
            channel.epoch = epoch
        if publication.key:
            delivered = 0
            if not publication.offset:
                wanted = base is not None
                base, delivered = channel.exchange_value(publication, sequence)
                base = base if wanted else None
            return Prepared(self._encode, channel.name, publication, base, keyed=True, delivered=delivered)
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
            prepared = self._prepare(channel, publication, base, epoch, sequence)
            for group in list(channel.groups.values()):
                tags_filter = group.tags_filter
                if group.lost:
                    continue
                if tags_filter is not None and not tags_filter.matches(publication.tags):
                    self.filtered += len(group)
                    if not prepared.keyed:
                        group.lose_base()
                    continue
                ready, fresh = list(group.members), list(group.fresh)
                yield from self._append_in_slices(group, group.members, ready, prepared.for_ready(group), sequence)
                if fresh:
                    yield from self._append_in_slices(group, group.fresh, fresh, prepared.for_fresh(group), sequence)
                for outbox in () if prepared.keyed else fresh:
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
            # Neither those who left meanwhile nor those who came after this publication:
            part = [outbox for outbox in snapshot[start : start + MEMBERS_A_SLICE] if members.get(outbox, sequence) < sequence]
            if frame is None:
                for outbox in part:
                    self._cannot_encode(outbox)
            else:
                put_each(part, frame, mark)
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
            if frame is None:
                for outbox in list(members):
                    self._cannot_encode(outbox)
            else:
                put_each(members, frame, mark)
        self._flusher.wake()
