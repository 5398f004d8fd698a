"""The polled channels of a node, and the calls that are made for them: a bounded number at once, fairly."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from ...fanout.channel import Channel
from ...fanout.keyed import KeyedDelivery
from ...fanout.stream import make_epoch
from ...interfaces import Broker, BrokerError, Clock, HookError, PublishOptions
from ...interfaces.hooks import SHARED_POLL_REFRESH, Hooks
from ...interfaces.shared_poll import SharedPollRefreshAnswer, SharedPollRefreshEvent
from ...model.errors import forget_traceback
from ..cluster import Cluster
from ..counters import Counters
from ..interest import Interest
from ..limited_log import LimitedLogger
from ..namespaces import Namespaces
from ..settings import SharedPollOptions, SharedPollSettings
from ..slices import call_in_slices
from ..ticker import Ticker
from .channel import PolledChannel
from .cycle import Call
from .relay import Refresh, Relay, Wish, aligned, call_hook
from .rules import rules_of
from .wire import Arrival, write_arrival

CONCURRENCY = 64
"""So many calls are made at once unless `shared_poll.concurrency_limit` says otherwise."""

SHARES = 4
"""A channel makes at most one of so many parts of these calls, so that others go on while its backend is slow."""

BROKER_NAMESPACE = "~poll"
"""Values that are published travel through the broker in it; no configured namespace can be named so."""

EPOCHS = "poll_epochs"
"""Topic of questions to nodes of the same server."""

ITEMS_A_LOOK = 16
SLICE_SECONDS = 0.004
"""Items of an answer are taken in slices of this length; the clock is looked at every so many items."""


class PollingNode(Protocol):
    """What polls need of their node; see Node."""

    broker: Broker
    clock: Clock
    counters: Counters
    hooks: Hooks
    interest: Interest
    keyed: KeyedDelivery
    namespaces: Namespaces
    shared_poll: SharedPollSettings
    ticker: Ticker


class Polls:
    """Channels that are polled.

    Attributes:
        clock, ticker, delivery: the node's.
        channels: by name.
    """

    perf_counter = staticmethod(time.perf_counter)

    def __init__(self, node: PollingNode) -> None:
        """Takes the node's parts; its options and hooks are looked at anew each time."""
        self._node = node
        self.delivery = node.keyed
        self.ticker = node.ticker
        self.clock = node.clock
        self._counters = node.counters
        self._loop = asyncio.get_running_loop()
        self._log = LimitedLogger(structlog.get_logger("centripetal.node"), node.clock, per_second=1.0, burst=10)
        self.channels: dict[str, PolledChannel] = {}
        self._cluster: Cluster | None = None
        self._relay: Relay | None = None
        self._running = 0
        self._waiting: deque[PolledChannel] = deque()
        self._tasks: dict[asyncio.Task[None], PolledChannel] = {}

    def find_hook(self, name: str) -> Refresh | None:
        """Returns the hook of a namespace, None if there is none."""
        return self._node.hooks.find(SHARED_POLL_REFRESH, name)

    def meet(self, cluster: Cluster) -> None:
        """Lets nodes of the same server learn of each other's channels, and call the application together."""
        self._cluster = cluster
        self._relay = Relay(cluster, self.clock, self.ticker, self.find_hook)
        cluster.handlers[EPOCHS] = self._answer_epoch

    async def open(self, name: str, options: SharedPollOptions) -> PolledChannel:
        """Returns a channel, made if need be; somebody has to join it at once.

        Args:
            name: the channel.
            options: of its namespace; they hold as long as it lives.
        """
        if name not in self.channels:
            rules = rules_of(options)
            epoch = await self._learn_epoch(name) if rules.versioned else make_epoch()
            if name not in self.channels:
                self.channels[name] = PolledChannel(self, name, rules, epoch)
        return self.channels[name]

    async def _learn_epoch(self, name: str) -> str:
        """Returns the application's epoch, if another node of this server knows it: its clients may come here.

        Without it they had to begin anew as soon as the first answer tells.
        """
        cluster = self._cluster
        if cluster is None or not (members := cluster.group_members()):
            return ""
        try:
            answers = await cluster.ask(EPOCHS, name.encode(), members)
        except BrokerError:
            return ""
        return next((answer.decode() for answer in answers.values() if answer), "")

    async def _answer_epoch(self, name: bytes) -> bytes:
        channel = self.channels.get(name.decode())
        return channel.epoch.encode() if channel is not None and channel.rules.versioned else b""

    async def hold(self, channel: PolledChannel) -> Channel | None:
        """Has values that are published reach a channel, where its rules allow it; release() gives that up.

        Raises:
            BrokerError: the broker cannot subscribe.
        """
        if not channel.rules.publish_enabled:
            return None
        held = await self._node.interest.hold(self._broker_name(channel.name))
        held.joining[channel] = channel
        return held

    def release(self, held: Channel) -> None:
        """Gives up what hold() returned; the last one ends the broker's subscription."""
        self._node.interest.release(held)

    async def publish(self, channel: str, key: str, data: bytes, version: int, epoch: str) -> None:
        """Gives a value to all who track the key, on all nodes, if its version is above theirs.

        Raises:
            BrokerError: the broker cannot take it.
        """
        self._counters.publications_sent += 1
        arrival = write_arrival(Arrival(key, version, epoch, data))
        await self._node.broker.publish(self._broker_name(channel), arrival, PublishOptions())

    def _broker_name(self, channel: str) -> str:
        return f"{BROKER_NAMESPACE}{self._node.namespaces.settings.namespace_boundary}{channel}"

    def forget(self, channel: PolledChannel) -> None:
        """A channel is closed."""
        if self.channels.get(channel.name) is channel:
            del self.channels[channel.name]
        self.cancel_calls(channel)

    def cancel_calls(self, channel: PolledChannel) -> None:
        """Ends the calls of a channel that are on their way, but for the one whose answer is being taken."""
        if channel.running:
            current = asyncio.current_task()
            for task, of in list(self._tasks.items()):
                if of is channel and task is not current:
                    task.cancel()

    async def stop(self) -> None:
        """Closes all channels and waits for the end of their calls."""
        for channel in list(self.channels.values()):
            channel.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        if self._relay is not None:
            await self._relay.stop()
        self._log.report_dropped()

    @property
    def num_keys(self) -> int:
        """Keys that are tracked."""
        return sum(len(channel.keys) for channel in self.channels.values())

    # Calls

    def schedule(self, function: Callable[[], None]) -> None:
        """Calls a function at the end of the turn."""
        self._loop.call_soon(function)

    def align(self, name: str, due: float, interval_seconds: float) -> float:
        """Returns when a cycle begins that is due: the nodes of a server begin those of a channel at the same time."""
        relay = self._relay
        return due if relay is None or not relay.is_shared else aligned(name, due, interval_seconds)

    def enqueue(self, channel: PolledChannel, call: Call) -> None:
        """Makes a call when it is its turn."""
        channel.calls.append(call)
        if len(channel.calls) == 1:
            self._waiting.append(channel)
        self._begin_calls()

    def _begin_calls(self) -> None:
        """Begins what may begin; of several channels each has its turn."""
        limit = self._node.shared_poll.concurrency_limit or CONCURRENCY
        share = max(limit // SHARES, 1)
        waiting, have_share = self._waiting, 0
        while self._running < limit and have_share < len(waiting):
            channel = waiting.popleft()
            if not channel.calls:
                continue
            if channel.running >= share:
                waiting.append(channel)
                have_share += 1
                continue
            have_share = 0
            task = self._loop.create_task(self._make(channel, channel.calls.popleft()))
            channel.running += 1
            self._running += 1
            self._tasks[task] = channel
            task.add_done_callback(self._ended)
            if channel.calls:
                waiting.append(channel)

    def _ended(self, task: asyncio.Task[None]) -> None:
        channel = self._tasks.pop(task)
        channel.running -= 1
        self._running -= 1
        if not task.cancelled() and task.exception() is not None:
            structlog.get_logger("centripetal.node").error("shared_poll_crashed", exc_info=task.exception())
        self._begin_calls()

    async def _make(self, channel: PolledChannel, call: Call) -> None:
        """Asks the application and takes its answer."""
        counters, trigger = self._counters, call.trigger
        counters.poll_slot_wait[trigger].observe(time.perf_counter() - call.queued_at)
        try:
            answer = await self._ask(channel, call)
            if answer is not None:
                await self._take(channel, answer, trigger)
        finally:
            channel.finish(call)

    async def _ask(self, channel: PolledChannel, call: Call) -> SharedPollRefreshAnswer | None:
        counters, name = self._counters, channel.rules.hook or "default"
        event = SharedPollRefreshEvent(channel=channel.name, items=channel.items_of(call))
        counters.poll_request_items[name].observe(len(event.items))
        started = time.perf_counter()
        try:
            answer = await self._refresh(channel, event, at_once=call.cycle is None)
        except HookError as error:
            forget_traceback(error)
            counters.poll_errors[call.trigger] += 1
            self._log.warning("shared_poll_failed", channel=channel.name, reason=str(error))
            return None
        finally:
            counters.poll_call_duration[call.trigger].observe(time.perf_counter() - started)
        if answer is not None:
            counters.poll_response_items[name].observe(len(answer.items))
        return answer

    async def _refresh(
        self, channel: PolledChannel, event: SharedPollRefreshEvent, *, at_once: bool
    ) -> SharedPollRefreshAnswer | None:
        """Asks the application, together with the other nodes of the server if there are any.

        Cycles begin at the same time there, but for what the tickers differ; half an interval is more than that.
        """
        name = channel.rules.hook
        if self._relay is None or not self._relay.is_shared:
            return await call_hook(self.find_hook(name), event)
        age = 0.0 if at_once else channel.rules.interval_seconds / 2
        return await self._relay.ask(Wish(name, event, self.clock.monotonic() - age))

    async def _take(self, channel: PolledChannel, answer: SharedPollRefreshAnswer, trigger: str) -> None:
        """Takes an answer in slices; when another epoch begins meanwhile, this is cancelled with all other calls."""
        channel.begin_answer(answer.epoch)
        started = time.perf_counter()
        for number, item in enumerate(answer.items, 1):
            channel.take(item, trigger)
            if number % ITEMS_A_LOOK == 0 and time.perf_counter() - started > SLICE_SECONDS:
                await asyncio.sleep(0)
                started = time.perf_counter()

    def tell_lost(self, channel: PolledChannel, lost: list[Any]) -> None:
        """Tells subscribers that they have to begin anew."""
        call_in_slices(self._loop.call_soon, lost, lambda subscriber: subscriber.lose_poll(channel))

    # What is counted

    def count_cycle(self, took: float, worked: float) -> None:
        """Counts a cycle: how long it took, and how long without the pauses between its calls; seconds."""
        self._counters.poll_cycle_duration.observe(took)
        self._counters.poll_cycle_work.observe(worked)

    def count_item(self, trigger: str, result: str) -> None:
        """Counts an item of an answer: `changed`, `unchanged` or `removed`."""
        self._counters.poll_items[trigger, result] += 1

    def count_publish(self, result: str) -> None:
        """Counts a value that was published: `applied` or `skipped`."""
        self._counters.poll_publishes[result] += 1
