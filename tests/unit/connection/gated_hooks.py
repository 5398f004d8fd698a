"""An application whose every answer waits for the test."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from centripetal.interfaces import HookError, HookTable
from centripetal.interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    PUBLISH,
    REFRESH,
    RPC,
    SUB_REFRESH,
    SUBSCRIBE,
    SUBSCRIBE_STREAM,
    CacheEmptyAnswer,
    ConnectAnswer,
    Event,
    PublishAnswer,
    RefreshAnswer,
    RpcAnswer,
    StreamPublication,
    SubRefreshAnswer,
    SubscribeAnswer,
)

Outcome = Any
"""What a call ends with: an answer, None, or an exception to raise."""


class GatedStream:
    """A stream that the test feeds."""

    def __init__(self, answer: SubscribeAnswer) -> None:
        self.answer = answer
        self.cancelled = False
        self.sent: list[bytes] = []
        self._arrived: deque[Any] = deque()
        self._wake: asyncio.Future[None] | None = None

    def feed(self, item: Any) -> None:
        """Gives a publication, None for the end, or an exception."""
        self._arrived.append(item)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def receive(self) -> StreamPublication | None:
        while not self._arrived:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        item = self._arrived.popleft()
        if isinstance(item, Exception):
            raise item
        return StreamPublication(item) if item is not None else None

    async def send(self, data: bytes) -> None:
        if self.cancelled:
            raise HookError("it is over")
        self.sent.append(data)

    def cancel(self) -> None:
        self.cancelled = True


class GatedHooks(HookTable):
    """All hooks, each call of which waits until the test lets it go on.

    Attributes:
        waiting: calls on their way: event, request, future.
        streams: all that were accepted.
        open: answers at once while set.
    """

    def __init__(self, clock: Any, *events: Event[Any, Any]) -> None:
        super().__init__()
        self.clock = clock
        self.open = False
        self.waiting: list[tuple[str, Any, asyncio.Future[Outcome]]] = []
        self.streams: list[GatedStream] = []
        for event in events or tuple(_ANSWERS):
            self.add(event, self._hook(event))

    def _hook(self, event: Event[Any, Any]) -> Callable[[Any], Any]:
        async def hook(request: Any) -> Any:
            outcome = _ANSWERS[event](self, request) if self.open else await self._wait(event, request)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return hook

    async def _wait(self, event: Event[Any, Any], request: Any) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = (event.name, request, future)
        self.waiting.append(entry)
        try:
            return await future
        finally:
            if entry in self.waiting:  # the caller has left
                self.waiting.remove(entry)

    def let_go(self, number: int = 0, outcome: Outcome = ...) -> tuple[str, Any]:
        """Ends a call, with its usual answer if none is given; returns event and request."""
        name, request, future = self.waiting.pop(number % len(self.waiting))
        if not future.done():
            future.set_result(_ANSWERS[_EVENTS[name]](self, request) if outcome is ... else outcome)
        return name, request

    def names(self) -> list[str]:
        return [name for name, _, _ in self.waiting]

    def new_stream(self) -> GatedStream:
        stream = GatedStream(SubscribeAnswer())
        self.streams.append(stream)
        return stream


_ANSWERS: dict[Event[Any, Any], Callable[[GatedHooks, Any], Any]] = {
    CONNECT: lambda hooks, request: ConnectAnswer(user="ann", expire_at=int(hooks.clock.time()) + 100),
    REFRESH: lambda hooks, request: RefreshAnswer(expire_at=int(hooks.clock.time()) + 100),
    RPC: lambda hooks, request: RpcAnswer(data=request.data),
    SUBSCRIBE: lambda hooks, request: SubscribeAnswer(expire_at=int(hooks.clock.time()) + 50),
    SUBSCRIBE_STREAM: lambda hooks, request: hooks.new_stream(),
    PUBLISH: lambda hooks, request: PublishAnswer(),
    SUB_REFRESH: lambda hooks, request: SubRefreshAnswer(expire_at=int(hooks.clock.time()) + 50),
    CACHE_EMPTY: lambda hooks, request: CacheEmptyAnswer(),
}
_EVENTS = {event.name: event for event in _ANSWERS}
