"""Which channels this node wants from the broker: those that somebody here is subscribed to."""

from __future__ import annotations

import asyncio

import structlog

from ..fanout.channel import Channel
from ..fanout.hub import Hub
from ..interfaces import BrokerError
from .eager import run_eagerly
from .sources import Sources


class Interest:
    """Keeps the broker's subscriptions equal to the hub's channels, in order for each channel.

    A change at the broker is never cancelled half way, for nobody would know then what the broker does: who leaves
    meanwhile gives up the channel, and the next change follows on this one.
    """

    def __init__(self, hub: Hub, sources: Sources) -> None:
        self._hub = hub
        self._sources = sources
        self._subscribed: set[str] = set()
        self._changes: dict[str, asyncio.Task[BrokerError | None]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def hold(self, name: str) -> Channel:
        """Returns the channel of the hub, once the broker delivers to it; release() gives it up.

        Raises:
            BrokerError: the broker cannot subscribe.
        """
        channel = self._hub.hold(name)
        if name not in self._subscribed or name in self._changes:
            try:
                error = await self._settle(name)
                if error is not None:
                    raise BrokerError(str(error)) from error
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
        await self._settle(name)  # a failure to subscribe is for those who wanted that

    async def _settle(self, name: str) -> BrokerError | None:
        """Subscribes or unsubscribes at the broker until it agrees with the hub; returns why it cannot subscribe.

        Those who wait for one change share its failure: a broker that is away is not asked once for each of them.
        """
        while True:
            change = self._changes.get(name)
            if change is not None:
                error = await asyncio.shield(change)
            else:
                wanted = name in self._hub.channels
                if wanted == (name in self._subscribed):
                    return None
                _, outcome = run_eagerly(self._subscribe(name) if wanted else self._unsubscribe(name))
                if isinstance(outcome, asyncio.Task):
                    self._changes[name] = outcome
                    continue
                error = outcome
            if error is not None:
                return error

    async def _subscribe(self, name: str) -> BrokerError | None:
        try:
            await self._sources.subscribe(name)
        except BrokerError as error:
            return error
        finally:
            self._changes.pop(name, None)
        self._subscribed.add(name)
        return None

    async def _unsubscribe(self, name: str) -> BrokerError | None:
        # Whatever comes of it, the next one to come has the broker subscribe again.
        self._subscribed.discard(name)
        try:
            await self._sources.unsubscribe(name)
        except BrokerError as error:
            structlog.get_logger("centripetal.node").warning(
                "broker_unsubscribe_failed", channel=name, error=str(error)
            )
        finally:
            self._changes.pop(name, None)
        return None
