"""A polled channel: the keys that are tracked in it, what is known of them, and when the application is asked.

The keys are asked for in cycles, one each interval; where they are more than one call takes, the calls of a cycle are
spread over the interval. A key that nobody tracked before, and one whose value a newcomer needs, are asked for at once.
While a call for a key is on its way there is no other one for it.

States of a key that is needed: `wanted` from when a newcomer lacks its value until the value was sent; the application is
then asked as if nothing were known, so that it gives the value even if it has not changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ...fanout.keyed import Scope
from ...interfaces.shared_poll import PolledItem, PollItem
from ...model import Publication
from .cycle import Call, Cycle, next_interval
from .key import PolledKey, digest_of
from .rules import PollRules
from .wire import read_arrival

if TYPE_CHECKING:
    from .polls import Polls

class Subscriber(Protocol):
    """A connection that is subscribed; an outbox."""

    def lose_poll(self, channel: PolledChannel) -> None:
        """What it has of the channel is not worth anything any more."""

    def lose_key(self, channel: PolledChannel, key: PolledKey) -> bool:
        """A key is gone; returns False if it does not track it, or a later one of this name."""


class PolledChannel:
    """A channel with subscribers here, or that had some a moment ago.

    Attributes:
        name: the channel.
        rules: how it is polled; they hold as long as it lives.
        epoch: of its versions; of versioned channels the application's.
        scope: see Scope; another one for each epoch.
        keys: those that are tracked, by name.
        leaving: keys that nobody tracks any more, while a call for them is on its way.
        subscribers: connections that are subscribed.
        calls: those that wait for their turn.
        running: calls on their way.
        wheel_slot: belongs to the ticker.
    """

    __slots__ = (
        "_at_once", "_closed", "_cycle", "_interval", "_polls", "_version", "calls", "epoch", "keys", "leaving", "name", "rules",
        "running", "scope", "subscribers", "wheel_slot",
    )  # fmt: skip

    def __init__(self, polls: Polls, name: str, rules: PollRules, epoch: str) -> None:
        self._polls = polls
        self.name = name
        self.rules = rules
        self.epoch = epoch
        self.scope = Scope()
        self.keys: dict[str, PolledKey] = {}
        self.leaving: dict[str, PolledKey] = {}
        self.subscribers: dict[Any, None] = {}
        self.calls: deque[Call] = deque()
        self.running = 0
        self.wheel_slot: Any = None
        self._version = 0
        self._interval = rules.interval_seconds
        self._at_once: list[PolledKey] = []
        self._cycle: Cycle | None = None
        self._closed = False

    # Who is there

    def join(self, subscriber: Any) -> None:
        """Adds a connection; it tracks nothing yet."""
        self.subscribers[subscriber] = None
        if not self.keys:
            self._polls.ticker.cancel(self)

    def leave(self, subscriber: Any) -> None:
        """Takes a connection out; its keys are untracked by then."""
        self.subscribers.pop(subscriber, None)
        if not self.subscribers and not self.keys:
            self._idle()

    def track(self, subscriber: Any, fossil: bool, versions: dict[str, int]) -> list[PolledKey]:
        """Has a connection get values of keys.

        Args:
            subscriber: has joined.
            fossil: it negotiated delta.
            versions: of the values that it has by key, 0 for none.

        Returns:
            The keys, in the same order. send_kept() is to be called with them.
        """
        keys, found = self.keys, []
        if versions and not keys:
            self._begin_cycle_at(self._polls.clock.monotonic() + self._interval)
        for name, version in versions.items():
            key = keys.get(name)
            if key is None:
                key = keys[name] = self._revive(name)
            if not key.version:
                if not version:
                    self._want(key)
            elif version < key.version or not version:
                if key.data is None:
                    self._want(key)
                key.wanted = True
            key.subscribers.add(subscriber, subscriber.encoding, fossil, version)
            found.append(key)
        return found

    def _revive(self, name: str) -> PolledKey:
        return self.leaving.pop(name) if name in self.leaving else PolledKey(name, self.scope)

    def untrack(self, subscriber: Any, fossil: bool, keys: Iterable[PolledKey]) -> None:
        """Ends that for some keys; a key that nobody tracks any more is forgotten."""
        for key in keys:
            key.subscribers.remove(subscriber, subscriber.encoding, fossil)
            if not key.subscribers and self.keys.get(key.name) is key:
                del self.keys[key.name]
                if key.calling:
                    self.leaving[key.name] = key
        if not self.keys:
            self._idle()

    def kept(self, name: str) -> Publication | None:
        """Returns the latest value of a key, where it is kept."""
        key = self.keys.get(name)
        if key is None or key.data is None or not key.version:
            return None
        return Publication(data=key.data, version=key.version, key=name)

    def _idle(self) -> None:
        """Nothing is tracked: nothing is asked for, and without subscribers the channel is soon forgotten."""
        ticker = self._polls.ticker
        self._cycle = None
        if self._closed or self.subscribers:
            ticker.cancel(self)
        elif not self.rules.shutdown_delay_seconds:
            self.close()
        else:
            ticker.schedule(self, self._polls.clock.monotonic() + self.rules.shutdown_delay_seconds)

    def close(self) -> None:
        """Forgets the channel; calls on their way are cancelled."""
        self._closed = True
        self._forget()
        self.calls.clear()
        self._polls.ticker.cancel(self)
        self._polls.forget(self)

    # When it asks

    def _want(self, key: PolledKey) -> None:
        """Somebody lacks the value: it is asked for at once, unless that was done for others who lack it."""
        if key.wanted:
            return
        key.wanted = True
        if not key.calling:
            if not self._at_once:
                self._polls.schedule(self.ask_at_once)
            self._at_once.append(key)

    def ask_at_once(self) -> None:
        """Asks for what was wanted in this turn."""
        wanted, self._at_once = self._at_once, []
        for start in range(0, len(wanted), self.rules.batch_size):
            self._call(wanted[start : start + self.rules.batch_size], None)

    def on_due(self, now: float) -> None:
        """The ticker's call: a call of the cycle is due, or a cycle, or the end."""
        if not self.keys:
            if not self.subscribers:
                self.close()
            return
        cycle = self._cycle
        if cycle is None:
            cycle = self._cycle = Cycle(list(self.keys.values()), self.rules.batch_size, self._interval, now)
        self._call(cycle.take_batch(), cycle)
        if cycle.is_through:
            self._end_cycle(cycle)
        else:
            self._polls.ticker.schedule(self, cycle.next_due)

    def _end_cycle(self, cycle: Cycle) -> None:
        """When all calls have ended, the next cycle follows one interval after the beginning of this one."""
        if cycle is not self._cycle or cycle.running or not cycle.is_through:
            return
        self._cycle = None
        now = self._polls.clock.monotonic()
        worked = cycle.worked(now)
        self._polls.count_cycle(now - cycle.started, worked)
        if self.rules.max_interval_seconds > 0:
            self._interval = next_interval(self.rules, self._interval, worked)
        self._begin_cycle_at(max(cycle.started + self._interval, now))

    def _begin_cycle_at(self, due: float) -> None:
        self._polls.ticker.schedule(self, self._polls.align(self.name, due, self._interval))

    def _call(self, keys: list[PolledKey], cycle: Cycle | None) -> None:
        """Makes a call for those keys that are still tracked and are not being asked for."""
        keys = [key for key in keys if not key.calling and self.keys.get(key.name) is key]
        if not keys:
            return
        for key in keys:
            key.calling = True
        if cycle is not None:
            cycle.running += 1
        self._polls.enqueue(self, Call(keys, cycle, self._polls.perf_counter()))

    def items_of(self, call: Call) -> tuple[PollItem, ...]:
        """Returns what a call that begins now asks for."""
        items = []
        for key in call.keys:
            key.asked_whole = key.wanted
            items.append(PollItem(key.name, key.version if self.rules.versioned and not key.wanted else 0))
        return tuple(items)

    def finish(self, call: Call) -> None:
        """A call has ended, answered or not."""
        for key in call.keys:
            key.calling = False
            if self.leaving.get(key.name) is key:
                del self.leaving[key.name]
            if key.wanted and not key.asked_whole and self.keys.get(key.name) is key:
                key.wanted = False
                self._want(key)
            key.asked_whole = False
        if call.cycle is not None:
            call.cycle.running -= 1
            self._end_cycle(call.cycle)

    # What it learns

    def begin_answer(self, epoch: str) -> None:
        """An answer, or a value that was published, is of this epoch; another one than before has all begin anew."""
        if self.rules.versioned and epoch != self.epoch:
            self.epoch = epoch
            self._lose()

    def take(self, item: PolledItem, trigger: str) -> None:
        """Takes what the application says of one key; keys that nobody tracks, and values without data, are left out."""
        key = self.keys.get(item.key)
        if key is None:
            return
        count = self._polls.count_item
        if item.removed:
            count(trigger, "removed")
            self._remove(key)
        elif not item.version and not self.rules.versioned:
            digest = digest_of(item.data) if item.data else key.digest
            if digest == key.digest:
                count(trigger, "unchanged")
                self._send_again(key, item.data)
            else:
                count(trigger, "changed")
                self._version += 1
                self._change(key, item.data, self._version, digest, item.prev_data)
        elif item.version > key.version and item.data:
            count(trigger, "changed")
            self._version = max(self._version, item.version)
            self._change(key, item.data, item.version, digest_of(item.data), item.prev_data)
        else:
            count(trigger, "unchanged")
            if item.version == key.version:
                self._send_again(key, item.data)

    def append(self, arrival: tuple[Publication, str]) -> None:
        """Takes a value that was published to the channel (see fanout.channel.Waiting)."""
        published = read_arrival(arrival[0].data)
        if published is None:
            return
        self.begin_answer(published.epoch)
        key = self.keys.get(published.key)
        if key is None:
            return
        if published.version <= key.version:
            self._polls.count_publish("skipped")
            return
        self._polls.count_publish("applied")
        key.fresh = True
        self._change(key, published.data, published.version, digest_of(published.data), b"")

    def _change(self, key: PolledKey, data: bytes, version: int, digest: bytes, base: bytes) -> None:
        """Sends a new value. Patches build on the value before; what the application gives as that has to be that."""
        before, base_version = key.data, key.version
        if before is None and base and digest_of(base) == key.digest:
            before = base
        key.version, key.digest, key.wanted = version, digest, False
        if self.rules.keep_data:
            key.data = data
        self._polls.delivery.deliver(
            self.name,
            key.subscribers,
            Publication(data=data, version=version, key=key.name),
            None if before is None else Publication(data=before),
            base_version,
        )

    def _send_again(self, key: PolledKey, data: bytes) -> None:
        """Gives a value that has not changed to those who lack it."""
        data = data or key.data or b""
        if key.wanted and key.version and data:
            key.wanted = False
            publication = Publication(data=data, version=key.version, key=key.name)
            self._polls.delivery.deliver(self.name, key.subscribers, publication)

    def send_kept(self, keys: Iterable[PolledKey]) -> None:
        """Gives values that are kept to those who lack them."""
        for key in keys:
            if key.data is not None:
                self._send_again(key, key.data)

    def _remove(self, key: PolledKey) -> None:
        del self.keys[key.name]
        publication = Publication(key=key.name, removed=True)
        self._polls.delivery.remove(
            self.name, key.subscribers, publication, lambda subscriber: subscriber.lose_key(self, key)  # type: ignore[attr-defined]
        )
        if not self.keys:
            self._idle()

    def _lose(self) -> None:
        """Nothing of what is known holds any more: everybody begins anew."""
        lost, self.subscribers = list(self.subscribers), {}
        self._forget()
        self.calls.clear()
        self._polls.cancel_calls(self)
        self._polls.tell_lost(self, lost)
        self._idle()

    def _forget(self) -> None:
        self.scope.lost = True
        self.scope = Scope()
        self.keys = {}
        self.leaving = {}
        self._at_once = []
        self._cycle = None
