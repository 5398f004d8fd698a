"""Which channels this node wants from the broker: those that somebody here is subscribed to."""

from __future__ import annotations

import asyncio

import structlog

from ..fanout.hub import Channel, Hub
from ..interfaces import Broker, BrokerError
from .eager import run_eagerly


class Interest:
    """Keeps the broker's subscriptions equal to the hub's channels, in order for each channel."""

    def __init__(self, hub: Hub, broker: Broker) -> None:
        self._hub = hub
        self._broker = broker
        self._subscribed: set[str] = set()
        self._changing: dict[str, list[asyncio.Future[None]]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def hold(self, name: str) -> Channel:
        """Returns the channel of the hub, once the broker delivers to it; release() gives it up.

        Raises:
            BrokerError: the broker cannot subscribe.
        """
        channel = self._hub.hold(name)
        if name not in self._subscribed or name in self._changing:
            try:
                await self._settle(name)
            except BaseException:
                self.release(channel)
                raise
        return channel

    def release(self, channel: Channel) -> None:
        """Gives up a hold; the last one ends the broker's subscription."""
        if self._hub.release(channel):
            done, task = run_eagerly(self._settle_quietly(channel.name))
            if not done:
                assert isinstance(task, asyncio.Task)
                self._background.add(task)
                task.add_done_callback(self._background.discard)

    async def _settle_quietly(self, name: str) -> None:
        try:
            await self._settle(name)
        except BrokerError as error:
            structlog.get_logger("centripetal.node").warning("broker_unsubscribe_failed", channel=name, error=str(error))

    async def _settle(self, name: str) -> None:
        """Subscribes or unsubscribes at the broker until it agrees with the hub."""
        while True:
            waiters = self._changing.get(name)
            if waiters is not None:
                waiter = asyncio.get_running_loop().create_future()
                waiters.append(waiter)
                await waiter
                continue
            wanted = name in self._hub.channels
            if wanted == (name in self._subscribed):
                return
            await self._change(name, wanted)

    async def _change(self, name: str, wanted: bool) -> None:
        waiters = self._changing[name] = []
        try:
            if wanted:
                await self._broker.subscribe(name)
                self._subscribed.add(name)
            else:
                await self._broker.unsubscribe(name)
                self._subscribed.discard(name)
        finally:
            del self._changing[name]
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
