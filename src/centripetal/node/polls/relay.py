"""Calls that are made once for all nodes of a server: one node, another one for each channel, makes those of a channel.

It asks the application what several nodes ask it at the same time only once, and answers from what it was told a moment ago
where the asking node says that this will do. Nothing is kept longer than that.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ...interfaces import BrokerError, Clock, HookError
from ...interfaces.hooks import Hook
from ...interfaces.shared_poll import PolledItem, PollItem, SharedPollRefreshAnswer, SharedPollRefreshEvent
from ...model import ClientError, Disconnect
from ...model.errors import forget_traceback
from ..cluster import Cluster
from ..ticker import Ticker

CALLS = "poll_calls"
"""Topic of questions to nodes of the same server."""

CALL_SECONDS = 30.0
"""The longest call, for hooks that have no time limit of their own."""

Refresh = Hook[SharedPollRefreshEvent, SharedPollRefreshAnswer]


class Wish(msgspec.Struct, frozen=True, array_like=True):
    """What a node wants to know.

    Attributes:
        hook: name of the hook that is asked.
        event: what it is asked.
        since: only what was asked after this will do, in monotonic seconds of the machine.
    """

    hook: str
    event: SharedPollRefreshEvent
    since: float


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What came of it.

    Attributes:
        answer: of the application; None if it says nothing.
        failure: why there is none; empty if all went well.
    """

    answer: SharedPollRefreshAnswer | None = None
    failure: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode_wish = msgspec.msgpack.Decoder(Wish).decode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


async def call_hook(hook: Refresh | None, event: SharedPollRefreshEvent) -> SharedPollRefreshAnswer | None:
    """Asks the application.

    Raises:
        HookError: it does not answer as it should; the text says why.
    """
    try:
        if hook is None:
            raise HookError("nobody is there to ask")
        async with asyncio.timeout(CALL_SECONDS):
            return await hook(event)
    except (ClientError, Disconnect) as error:
        forget_traceback(error)
        raise HookError(f"code {error.code}") from None
    except TimeoutError:
        raise HookError("timeout") from None


def aligned(channel: str, due: float, interval_seconds: float) -> float:
    """Returns a time that is the same on all nodes of a machine, at most a quarter of an interval after another one.

    Args:
        channel: begins its intervals at a time of its own.
        due: the other one, monotonic seconds; the result may be up to three quarters of an interval before it.
        interval_seconds: from one such time to the next.
    """
    phase = zlib.crc32(channel.encode()) / 2**32
    return (math.floor(due / interval_seconds - phase + 0.25) + phase) * interval_seconds


class Known(NamedTuple):
    """What the application said of a key.

    Attributes:
        asked_at: when it was asked.
        version: that it was told to be known.
        item: what it said; None if it left the key out.
    """

    asked_at: float
    version: int
    item: PolledItem | None

    def serves(self, asked: PollItem, since: float) -> bool:
        """Whether the application need not be asked."""
        if self.asked_at <= since:
            return False
        item = self.item
        return asked.version == self.version or (item is not None and (item.removed or bool(item.data)))


class Desk:
    """The calls for one channel.

    Attributes:
        epoch: of what is known.
        known: by key.
        calls: those on their way, with the version that they tell, by key.
        order: keys and when they were asked for, the oldest first.
        keep_seconds: the longest that a node wanted knowledge to be kept.
    """

    __slots__ = ("calls", "epoch", "epochs", "keep_seconds", "known", "order")

    def __init__(self) -> None:
        self.epoch: str | None = None
        self.epochs = 0
        self.known: dict[str, Known] = {}
        self.calls: dict[str, tuple[int, asyncio.Task[str]]] = {}
        self.order: deque[tuple[float, list[PollItem]]] = deque()
        self.keep_seconds = 0.0

    def take(self, asked: list[PollItem], asked_at: float, answer: SharedPollRefreshAnswer | None) -> None:
        """Takes an answer."""
        if answer is not None and answer.epoch != self.epoch:
            self.epoch = answer.epoch
            self.epochs += 1
            self.known.clear()
        said = {} if answer is None else {item.key: item for item in answer.items}
        for item in asked:
            known = self.known.get(item.key)
            if known is None or known.asked_at <= asked_at:
                self.known[item.key] = Known(asked_at, item.version, said.get(item.key))
        self.order.append((asked_at, asked))

    def forget(self, now: float) -> None:
        """Forgets what is too old to be of use."""
        oldest = now - self.keep_seconds
        while self.order and self.order[0][0] < oldest:
            asked_at, asked = self.order.popleft()
            for item in asked:
                known = self.known.get(item.key)
                if known is not None and known.asked_at == asked_at:
                    del self.known[item.key]

    def answer(self, asked: tuple[PollItem, ...]) -> SharedPollRefreshAnswer | None:
        """Returns what is known of keys and is new to who asks."""
        if self.epoch is None:
            return None
        items = []
        for item in asked:
            known = self.known.get(item.key)
            said = known.item if known is not None else None
            if said is not None and (said.removed or not 0 < said.version <= item.version):
                items.append(said)
        return SharedPollRefreshAnswer(items=tuple(items), epoch=self.epoch)


class Relay:
    """Makes calls for all nodes of the server, or has the node make them whose turn the channel is.

    Args:
        cluster: the other nodes.
        clock: which the nodes of a server, processes of one machine, have in common.
        ticker: of the node.
        find_hook: returns a hook by its name.
    """

    def __init__(
        self, cluster: Cluster, clock: Clock, ticker: Ticker, find_hook: Callable[[str], Refresh | None]
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._find_hook = find_hook
        self._desks: dict[tuple[str, str], Desk] = {}
        self._tasks: set[asyncio.Task[str]] = set()
        cluster.handlers[CALLS] = self._answer
        ticker.every_second.append(self._forget)

    @property
    def is_shared(self) -> bool:
        """Whether there are other nodes of this server."""
        return bool(self._cluster.group_members())

    async def ask(self, wish: Wish) -> SharedPollRefreshAnswer | None:
        """Asks the application, or the node that asks it for all.

        Raises:
            HookError: there is no answer.
        """
        nodes = [self._cluster.node, *self._cluster.group_members()]
        channel = wish.event.channel
        maker = max(nodes, key=lambda node: (zlib.crc32(f"{node} {channel}".encode()), node))
        reply = await (self._make(wish) if maker == self._cluster.node else self._have_made(wish, maker))
        if reply.failure:
            raise HookError(reply.failure)
        return reply.answer

    async def _have_made(self, wish: Wish, maker: str) -> Reply:
        try:
            answers = await self._cluster.ask(CALLS, _encode(wish), [maker], seconds=CALL_SECONDS)
        except BrokerError:
            answers = {}
        if maker in answers:
            return _decode_reply(answers[maker])
        # It has gone, or cannot be reached.
        return Reply(await call_hook(self._find_hook(wish.hook), wish.event))

    async def _answer(self, body: bytes) -> bytes:
        return _encode(await self._make(_decode_wish(body)))

    async def _make(self, wish: Wish) -> Reply:
        event, now = wish.event, self._clock.monotonic()
        desk = self._desks.setdefault((wish.hook, event.channel), Desk())
        desk.keep_seconds = max(desk.keep_seconds, now - wish.since)
        calls: set[asyncio.Task[str]] = set()
        asked: list[PollItem] = []
        for item in event.items:
            known, call = desk.known.get(item.key), desk.calls.get(item.key)
            if known is not None and known.serves(item, wish.since):
                continue
            if call is not None and call[0] in (0, item.version):
                calls.add(call[1])
            else:
                asked.append(item)
        if asked:
            calls.add(self._call(desk, wish.hook, event.channel, asked))
        if calls:
            await asyncio.wait(calls)
        failures = [failure for call in calls if (failure := "stopped" if call.cancelled() else call.result())]
        return Reply(failure=failures[0]) if failures else Reply(desk.answer(event.items))

    def _call(self, desk: Desk, hook: str, channel: str, asked: list[PollItem]) -> asyncio.Task[str]:
        task = asyncio.get_running_loop().create_task(self._run(desk, hook, channel, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for item in asked:
            desk.calls[item.key] = item.version, task
        return task

    async def _run(self, desk: Desk, hook: str, channel: str, asked: list[PollItem]) -> str:
        """Makes a call; returns why it failed, empty if it did not."""
        epochs, asked_at, task = desk.epochs, self._clock.monotonic(), asyncio.current_task()
        try:
            answer = await call_hook(
                self._find_hook(hook), SharedPollRefreshEvent(channel=channel, items=tuple(asked))
            )
        except HookError as error:
            return str(error) or "no answer"
        finally:
            for item in asked:
                call = desk.calls.get(item.key)
                if call is not None and call[1] is task:
                    del desk.calls[item.key]
        if epochs != desk.epochs and answer is not None and answer.epoch != desk.epoch:
            return "another epoch began meanwhile"
        desk.take(asked, asked_at, answer)
        return ""

    def _forget(self) -> None:
        now = self._clock.monotonic()
        for name, desk in list(self._desks.items()):
            desk.forget(now)
            if not desk.order and not desk.calls:
                del self._desks[name]

    async def stop(self) -> None:
        """Ends all calls."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
