"""The process that keeps the engine: it carries out what others ask, and tells them what happens in their channels."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from ...interfaces import BrokerError
from ...model import ClientInfo, Publication, StreamPosition
from ...node import control
from ...node.eager import run_eagerly
from .link import Link, LinkError, frame
from .methods import EVENT_ID, EVENT_OF, FAILURE, METHODS, RESULT, Call

_log = structlog.get_logger("centripetal.engines")


class Host:
    """Serves engines to the processes that are linked to it.

    Args:
        targets: what is served, by name: `broker`, `presence`, `map_broker`, `controller`, `keys`, `muster`, `heir`. Their
            coroutines may suspend.

    Attributes:
        targets: what is served now.
        guests: the links.
        events: what brokers are to be bound to, by target.
        held: targets whose requests wait.
        is_relay: the targets are another host's, which must know what the guests want to be told.
    """

    def __init__(self, targets: Mapping[str, Any]) -> None:
        self.targets = dict(targets)
        self.guests: set[Guest] = set()
        self.held: set[str] = set()
        self.is_relay = False
        self._waiting: deque[tuple[Guest, int, Call, tuple[Any, ...]]] = deque()
        self.events = {target: Distribution(target) for target in ("broker", "map_broker", "controller") if target in targets}

    def welcome(self, left: Callable[[], None] = lambda: None) -> Link:
        """Returns the protocol of a new link.

        Args:
            left: called when the link has ended.
        """
        return Guest(self, left).link

    def hold(self, *targets: str) -> None:
        """Lets everything that is asked of these targets from now on wait."""
        self.held.update(targets)

    def keep_waiting(self, guest: Guest, request: int, method: Call, arguments: tuple[Any, ...]) -> None:
        """Keeps a request until release()."""
        self._waiting.append((guest, request, method, arguments))

    def release(self) -> None:
        """Goes on with what waits, in its order."""
        self.held.clear()
        waiting, self._waiting = self._waiting, deque()
        for guest, request, method, arguments in waiting:
            if guest.link.is_open:
                guest.carry_out(request, method, arguments)

    async def tell_gone(self, nodes: Sequence[str]) -> None:
        """Tells all nodes that some have no link any more: they did not say goodbye if they were killed.

        Args:
            nodes: their ids.
        """
        try:
            for node in nodes:
                await self.targets["controller"].send("", control.encode(control.Gone(sender=node)))
        except BrokerError as error:
            _log.warning("departure_not_told", error=str(error))  # the other host is gone, too

    def relay(self, targets: Mapping[str, Any]) -> None:
        """Has another host carry out what is asked from now on.

        Args:
            targets: reach it. It tells `events` already what the guests want to be told.
        """
        self.targets.update(targets)
        self.is_relay = True


class Distribution:
    """What a broker of the host is bound to: each event goes, encoded once, to all links that want the channel.

    Args:
        target: `broker`, `map_broker` or `controller`.

    Attributes:
        own: the host process's own node, if it has one.
        interested: links by channel.
    """

    def __init__(self, target: str) -> None:
        self.own: Any = None
        self.interested: dict[str, set[Guest]] = {}
        self._events = {name: event.number for (owner, name), event in EVENT_OF.items() if owner == target}

    def bind(self, own: Any) -> None:
        """Tells where events go in this process."""
        self.own = own

    def on_publication(
        self,
        channel: str,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        """Distributes a publication; see BrokerEvents."""
        self._tell("on_publication", channel, publication, position, use_delta, previous)

    def on_join(self, channel: str, info: ClientInfo) -> None:
        """Distributes a join."""
        self._tell("on_join", channel, info)

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        """Distributes a leave."""
        self._tell("on_leave", channel, info)

    def on_state_lost(self, channel: str) -> None:
        """Distributes that a map's keys went at once."""
        self._tell("on_state_lost", channel)

    def on_control(self, address: str, message: bytes) -> None:
        """Distributes a message between nodes."""
        self._tell("on_control", address, message)

    def _tell(self, name: str, channel: str, *details: Any) -> None:
        if self.own is not None:
            getattr(self.own, name)(channel, *details)
        guests = self.interested.get(channel)
        if guests:
            message = frame(EVENT_ID, self._events[name], (channel, *details))
            for guest in guests:
                guest.link.send(message)


class Guest:
    """One linked process."""

    def __init__(self, host: Host, left: Callable[[], None]) -> None:
        self._left = left
        self.link = Link(self._receive, self._lost)
        self._host = host
        self._channels: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        host.guests.add(self)

    def _receive(self, request: int, number: int, body: memoryview) -> None:
        if number >= len(METHODS) or request == EVENT_ID:
            raise LinkError(f"request {request} of method {number}")
        method = METHODS[number]
        arguments = method.decode_arguments(body)
        if method.target not in self._host.targets:
            raise LinkError(f"there is no {method.target}")
        if method.target in self._host.held:
            self._host.keep_waiting(self, request, method, arguments)
        else:
            self.carry_out(request, method, arguments)

    def carry_out(self, request: int, method: Call, arguments: tuple[Any, ...]) -> None:
        """Does what was asked, and answers when it is done."""
        if method.is_about_interest and self._follow(method, arguments[0]):
            self.link.send(frame(request, RESULT, None))
            return
        target = self._host.targets[method.target]
        try:
            done, value = run_eagerly(getattr(target, method.name)(*arguments))
        except Exception as error:  # noqa: BLE001 - the one who asked must learn of it
            self._fail(request, method, error)
            return
        if done:
            self.link.send(frame(request, RESULT, value))
        else:
            assert isinstance(value, asyncio.Task)
            self._tasks.add(value)
            value.add_done_callback(partial(self._answer, request, method))

    def _follow(self, method: Call, channel: str) -> bool:
        """Notes what the guest wants; returns whether that is all there is to do."""
        interested = self._host.events[method.target].interested
        if method.name == "subscribe":
            self._channels.add((method.target, channel))
            interested.setdefault(channel, set()).add(self)
            return not self._host.is_relay
        # As a relay, the host goes on to be told of the channel until it ends: others in its process may want it.
        self._channels.discard((method.target, channel))
        guests = interested.get(channel)
        if guests is not None:
            guests.discard(self)
            if not guests:
                del interested[channel]
        return True

    def _answer(self, request: int, method: Call, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.link.send(frame(request, RESULT, task.result()))
        else:
            self._fail(request, method, error)

    def _fail(self, request: int, method: Call, error: BaseException) -> None:
        if not isinstance(error, method.error):
            _log.error("engine_method_failed", method=f"{method.target}.{method.name}", exc_info=error)
        self.link.send(frame(request, FAILURE, str(error) if isinstance(error, method.error) else "internal error"))

    def _lost(self) -> None:
        nodes = []
        for target, channel in self._channels:
            interested = self._host.events[target].interested
            interested[channel].discard(self)
            if not interested[channel]:  # otherwise a node may have another link already
                del interested[channel]
                if target == "controller" and channel:
                    nodes.append(channel)
        self._channels.clear()
        for task in tuple(self._tasks):
            task.cancel()
        self._host.guests.discard(self)
        if nodes:
            run_eagerly(self._host.tell_gone(nodes))
        self._left()
