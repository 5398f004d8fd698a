"""Who tracks a key, and the loop that puts its values into their outboxes.

A key has a value with a version, and each subscriber gets only what is newer than what it has. Those who were sent a value
here all have the key's latest one: a group of them needs no look at versions, and a patch from the value before fits all
of them. Those who came since are kept apart with the version that they say they have, and get a whole value first.

A value for very many subscribers is handed out in slices; until it is through, further values of the key wait behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .hub import FEW, MEMBERS_A_SLICE
from .outbox import Flusher, Outbox, put_each
from .prepared import Encode, Prepared


class Scope:
    """What keys of one epoch have in common.

    Attributes:
        lost: the epoch is over; nobody gets any of its values.
    """

    __slots__ = ("lost",)

    def __init__(self) -> None:
        self.lost = False


class KeyGroup:
    """Subscribers of a key whose frames are made alike.

    Attributes:
        encoding, fossil: as in a channel's Group.
        version: of the value that the current ones have.
        current: those who were sent it here.
        behind: those who were sent nothing yet, each with the version that it has.
    """

    __slots__ = ("behind", "current", "encoding", "fossil", "version")

    def __init__(self, encoding: Any, fossil: bool) -> None:
        self.encoding = encoding
        self.fossil = fossil
        self.version = 0
        self.current: dict[Outbox, None] = {}
        self.behind: dict[Outbox, int] = {}


class KeySubscribers:
    """Those who track one key.

    Attributes:
        scope: of its epoch.
        groups: by (encoding, fossil).
        backlog: steps that wait behind one that is being handed out in slices.
    """

    __slots__ = ("backlog", "groups", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.groups: dict[tuple[Any, bool], KeyGroup] = {}
        self.backlog: deque[Iterator[None]] | None = None

    def __len__(self) -> int:
        return sum(len(group.current) + len(group.behind) for group in self.groups.values())

    def __bool__(self) -> bool:
        return bool(self.groups)

    def add(self, outbox: Outbox, encoding: Any, fossil: bool, version: int) -> None:
        """Adds a subscriber; who is there already has from now on the version that it says.

        Args:
            outbox: of the connection.
            encoding: of its transport.
            fossil: it negotiated delta.
            version: of the value that it has, 0 for none.
        """
        group = self.groups.get((encoding, fossil))
        if group is None:
            group = self.groups[encoding, fossil] = KeyGroup(encoding, fossil)
        if outbox in group.current:
            if version == group.version:
                return
            del group.current[outbox]
        group.behind[outbox] = version

    def remove(self, outbox: Outbox, encoding: Any, fossil: bool) -> None:
        """Takes a subscriber out."""
        group = self.groups.get((encoding, fossil))
        if group is None:
            return
        if group.behind.pop(outbox, -1) < 0:
            group.current.pop(outbox, None)
        if not group.current and not group.behind:
            del self.groups[encoding, fossil]


class KeyedDelivery:
    """Puts values of keys into outboxes."""

    def __init__(
        self,
        flusher: Flusher,
        encode: Encode,
        schedule: Callable[[Callable[[], None]], object],
        cannot_encode: Callable[[Outbox], None],
        count: Callable[[Any, int, int], None],
    ) -> None:
        """Takes what a Hub takes."""
        self._flusher = flusher
        self._encode = encode
        self._schedule = schedule
        self._cannot_encode = cannot_encode
        self._count = count
        self._work: deque[KeySubscribers] = deque()

    def deliver(
        self, channel: str, subscribers: KeySubscribers, publication: Any, base: Any = None, base_version: int = 0
    ) -> None:
        """Gives a value to those who have an older one.

        Args:
            channel: its name.
            subscribers: who tracks the key.
            publication: with `key`, `data` and `version`; versions go up, the same one may come again.
            base: the publication that patches build on, None when there must be none.
            base_version: its version.
        """
        prepared = Prepared(self._encode, channel, publication, base)
        self._hand_out(subscribers, self._values(subscribers, publication.version, prepared, base_version))

    def remove(
        self, channel: str, subscribers: KeySubscribers, publication: Any, forget: Callable[[Outbox], bool]
    ) -> None:
        """Tells all who track a key that it is gone; they track it no more.

        Args:
            channel: its name.
            subscribers: who tracks it; emptied.
            publication: the removal.
            forget: takes the key out of what a subscriber tracks; False if it has tracked it anew since.
        """
        self._hand_out(subscribers, self._removals(subscribers, Prepared(self._encode, channel, publication, None), forget))

    def _hand_out(self, subscribers: KeySubscribers, step: Iterator[None]) -> None:
        if subscribers.backlog is not None:
            subscribers.backlog.append(step)
        elif len(subscribers) <= MEMBERS_A_SLICE:
            for _ in step:
                pass
            self._flusher.wake()
        else:
            subscribers.backlog = deque([step])
            self._work.append(subscribers)
            if len(self._work) == 1:
                self._schedule(self.advance)

    def advance(self) -> None:
        """Does one slice of what waits, and asks to be called again for the rest."""
        subscribers = self._work.popleft()
        backlog = subscribers.backlog
        assert backlog is not None
        try:
            if subscribers.scope.lost:
                backlog.clear()
            else:
                next(backlog[0])
        except StopIteration:
            backlog.popleft()
        self._flusher.wake()
        if backlog:
            self._work.append(subscribers)
        else:
            subscribers.backlog = None
        if self._work:
            self._schedule(self.advance)

    def _values(
        self, subscribers: KeySubscribers, version: int, prepared: Prepared, base_version: int
    ) -> Iterator[None]:
        for group in list(subscribers.groups.values()):
            if group.version > version:
                continue
            if group.version < version:
                if group.current:
                    fits = 0 < group.version == base_version
                    frame = prepared.patched(group) if fits else prepared.full(group)
                    yield from self._append(group, group.current, list(group.current), frame)
                group.version = version
            late = [outbox for outbox, known in group.behind.items() if known < version]
            if late:
                yield from self._append(group, group.behind, late, prepared.full(group), settle=group.current)

    def _removals(
        self, subscribers: KeySubscribers, prepared: Prepared, forget: Callable[[Outbox], bool]
    ) -> Iterator[None]:
        groups, subscribers.groups = subscribers.groups, {}
        for group in groups.values():
            frame = prepared.full(group)
            for members in (group.current, group.behind):
                snapshot = list(members)
                for start in range(0, len(snapshot), MEMBERS_A_SLICE):
                    part = [outbox for outbox in snapshot[start : start + MEMBERS_A_SLICE] if forget(outbox)]
                    yield from self._append(group, members, part, frame)

    def _append(
        self,
        group: KeyGroup,
        members: dict[Outbox, Any],
        snapshot: list[Outbox],
        frame: bytes | None,
        settle: dict[Outbox, None] | None = None,
    ) -> Iterator[None]:
        """Puts a frame into the outboxes of those who are still members, pausing after each slice.

        Args:
            group: whose.
            members: where they are.
            snapshot: who they were in the beginning.
            frame: None when the encoding cannot carry the value.
            settle: where they belong afterwards, if not where they are.
        """
        if frame is not None:
            self._count(group.encoding, len(frame), len(snapshot))
        for start in range(0, len(snapshot), MEMBERS_A_SLICE):
            mark = (self._flusher.prompt if len(snapshot) <= FEW else self._flusher.bulk).append
            part = [outbox for outbox in snapshot[start : start + MEMBERS_A_SLICE] if outbox in members]  # who is still there
            if frame is None:
                for outbox in part:
                    self._cannot_encode(outbox)
            else:
                if settle is not None:
                    for outbox in part:
                        del members[outbox]
                        settle[outbox] = None
                put_each(part, frame, mark)
            yield
