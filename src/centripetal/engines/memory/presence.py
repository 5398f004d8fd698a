"""Presence of a single node: who is in which channel, in this process."""

from __future__ import annotations

from collections import OrderedDict

from ...interfaces import Clock, PresenceStats
from ...model import ClientInfo
from .expiry import Occupancy, Sweeper

_NOBODY = PresenceStats()
# A call frees at most so many expired entries before it answers; the sweep does the rest.
_ACCESS_BUDGET = 1000


class _Entry:
    """One connection in one channel, until a moment in monotonic seconds."""

    __slots__ = ("channel", "client", "expires_at", "info")

    def __init__(self, channel: str, client: str, info: ClientInfo, expires_at: float) -> None:
        self.channel = channel
        self.client = client
        self.info = info
        self.expires_at = expires_at


class _Attendance:
    """The entries of one channel by connection id, and how many each user has."""

    __slots__ = ("entries", "users")

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.users: dict[str, int] = {}

    def count(self, user: str) -> None:
        self.users[user] = self.users.get(user, 0) + 1

    def discount(self, user: str) -> None:
        left = self.users[user] - 1
        if left:
            self.users[user] = left
        else:
            del self.users[user]


class MemoryPresenceManager:
    """Keeps presence in memory; implements `interfaces.PresenceManager`. No coroutine of it ever suspends."""

    def __init__(self, clock: Clock, *, ttl_seconds: float = 60.0) -> None:
        """Takes where time comes from.

        Args:
            clock: only its monotonic time is read.
            ttl_seconds: how long an entry stays without renewal (`presence_ttl`).
        """
        self._monotonic = clock.monotonic
        self._ttl_seconds = ttl_seconds
        self._channels: dict[str, _Attendance] = {}
        # All lifetimes are equal, so entries moved to the end when renewed stay in the order of their deadlines.
        self._by_deadline: OrderedDict[_Entry, None] = OrderedDict()
        self._channel_occupancy = Occupancy()
        self._entry_occupancy = Occupancy()
        self._sweeper = Sweeper(self.sweep)

    async def start(self) -> None:
        """Starts the sweep of expired entries on the running loop."""
        self._sweeper.start()

    async def stop(self) -> None:
        """Ends the sweep."""
        self._sweeper.stop()

    async def add(self, channel: str, client: str, info: ClientInfo) -> None:
        """Adds or renews an entry."""
        now = self._monotonic()
        self._expire(now, _ACCESS_BUDGET)
        attendance = self._channels.get(channel)
        if attendance is None:
            self._channels[channel] = attendance = _Attendance()
        entry = attendance.entries.get(client)
        if entry is None:
            attendance.entries[client] = entry = _Entry(channel, client, info, now + self._ttl_seconds)
            attendance.count(info.user)
            self._by_deadline[entry] = None
            return
        if entry.info.user != info.user:
            attendance.discount(entry.info.user)
            attendance.count(info.user)
        entry.info = info
        entry.expires_at = now + self._ttl_seconds
        self._by_deadline.move_to_end(entry)

    def restore(self, channel: str, client: str, info: ClientInfo, expires_at: float) -> None:
        """Puts back an entry that is not there, whose deadline comes after those of all others."""
        attendance = self._channels.setdefault(channel, _Attendance())
        attendance.entries[client] = entry = _Entry(channel, client, info, expires_at)
        attendance.count(info.user)
        self._by_deadline[entry] = None

    async def remove(self, channel: str, client: str) -> None:
        """Removes an entry; one that is not there is no error."""
        attendance = self._channels.get(channel)
        entry = attendance.entries.get(client) if attendance is not None else None
        if entry is not None:
            self._drop(entry)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns the entries by connection id, in a dict of the caller's own."""
        self._expire(self._monotonic(), _ACCESS_BUDGET)
        attendance = self._channels.get(channel)
        if attendance is None:
            return {}
        return {client: entry.info for client, entry in attendance.entries.items()}

    async def stats(self, channel: str) -> PresenceStats:
        """Returns the counts, without a look at the entries."""
        self._expire(self._monotonic(), _ACCESS_BUDGET)
        attendance = self._channels.get(channel)
        if attendance is None:
            return _NOBODY
        return PresenceStats(len(attendance.entries), len(attendance.users))

    def sweep(self, budget: int) -> bool:
        """Frees expired entries, in a bounded step; the timer that start() starts calls it.

        Args:
            budget: how many entries at most.

        Returns:
            Whether more is left to do.
        """
        self._channel_occupancy.note(len(self._channels))
        self._entry_occupancy.note(len(self._by_deadline))
        more = self._expire(self._monotonic(), budget)
        if self._channel_occupancy.is_sparse(len(self._channels)):
            self._channels = dict(self._channels)
        if self._entry_occupancy.is_sparse(len(self._by_deadline)):
            self._by_deadline = OrderedDict(self._by_deadline)
        return more

    def _expire(self, now: float, budget: int) -> bool:
        by_deadline = self._by_deadline
        while by_deadline:
            oldest = next(iter(by_deadline))
            if oldest.expires_at > now:
                return False
            if budget <= 0:
                return True
            budget -= 1
            self._drop(oldest)
        return False

    def _drop(self, entry: _Entry) -> None:
        del self._by_deadline[entry]
        attendance = self._channels[entry.channel]
        del attendance.entries[entry.client]
        attendance.discount(entry.info.user)
        if not attendance.entries:
            del self._channels[entry.channel]
