"""Subscriptions that the application feeds by a stream of its own (`subscribe_stream_proxy_enabled`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog

from ..interfaces.hooks import SUBSCRIBE_STREAM, HookError, Stream, StreamPublication, SubscribeStreamEvent
from ..model import Publication, Unsubscribe
from ..model.errors import ERROR_INTERNAL, ERROR_NOT_AVAILABLE, UNSUBSCRIBE_INSUFFICIENT_STATE, UNSUBSCRIBE_SERVER
from ..node.delivery import encode_publication
from ..node.settings import ChannelOptions
from ..node.subscribers import refuse_encoding
from ..protocol.commands import SubscribeRequest
from .grant import Grant
from .hooks import caller_of, find, granted
from .subscription import Subscription
from .unsubscribe import unsubscribe_quietly

if TYPE_CHECKING:
    from .client import Client

PUBLICATIONS_A_TURN = 64
"""So many publications of one stream are delivered before others have their turn."""


class Feed:
    """A stream and the task that follows it, once its subscription is live."""

    __slots__ = ("bidirectional", "stream", "task")

    def __init__(self, stream: Stream, bidirectional: bool) -> None:
        self.stream = stream
        self.bidirectional = bidirectional
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """Ends the stream."""
        self.stream.cancel()
        if self.task is not None:
            self.task.cancel()
            self.task = None


async def open_feed(client: Client, request: SubscribeRequest, options: ChannelOptions) -> Grant:
    """Has the application accept a subscription with a stream of its own, and keeps the stream with the reserved place.

    Raises:
        ClientError, Disconnect: the application's refusal; 108, there is no hook.
        HookError: it could not be asked.
    """
    hook = find(client, SUBSCRIBE_STREAM, options.subscribe_stream_proxy_name)
    subscription = client.subscriptions[request.channel]
    bidirectional = options.subscribe_stream_proxy_bidirectional
    stream = await hook(
        SubscribeStreamEvent(
            caller=caller_of(client),
            channel=request.channel,
            token=request.token,
            data=bytes(request.data),
            bidirectional=bidirectional,
        )
    )
    if stream is None:
        raise ERROR_INTERNAL
    subscription.feed = Feed(stream, bidirectional)
    grant = granted(options, 0.0, stream.answer)
    return msgspec.structs.replace(
        grant, positioned=False, recoverable=False, auto_cache_recover=False, delta_types=(), tags_filter=False
    )


def follow(client: Client, channel: str, subscription: Subscription) -> None:
    """Starts to deliver what the stream brings; the subscription is live."""
    feed = subscription.feed
    if feed is not None and subscription.live:
        feed.task = asyncio.get_running_loop().create_task(_follow(client, channel, subscription, feed))


async def _follow(client: Client, channel: str, subscription: Subscription, feed: Feed) -> None:
    reason = await _deliver_all(client, channel, feed)
    feed.task = None
    if client.subscriptions.get(channel) is subscription:
        unsubscribe_quietly(client, channel, reason)


async def _deliver_all(client: Client, channel: str, feed: Feed) -> Unsubscribe:
    number = 0
    try:
        while (publication := await feed.stream.receive()) is not None:
            deliver(client, channel, publication)
            number += 1
            if number % PUBLICATIONS_A_TURN == 0:
                await asyncio.sleep(0)
    except HookError:
        return UNSUBSCRIBE_INSUFFICIENT_STATE
    except Exception:  # noqa: BLE001 - a mistake of a hook must not end the others
        structlog.get_logger("centripetal.connection").exception("stream_failed", client=client.id)
        return UNSUBSCRIBE_INSUFFICIENT_STATE
    return UNSUBSCRIBE_SERVER


def deliver(client: Client, channel: str, publication: StreamPublication) -> None:
    """Pushes one publication to this subscriber only."""
    encoding = client.encoding
    frame = encode_publication(encoding, channel, Publication(publication.data, tags=publication.tags), False, None)
    if frame is None:
        refuse_encoding(client)
        return
    client.node.counters.add_pushes(encoding, "push_publication", len(frame), 1)
    client.node.flusher.put(client, frame)


async def publish(client: Client, channel: str, data: bytes) -> None:
    """Gives the application what a subscriber publishes.

    Raises:
        ClientError: 108, there is no subscription with a stream in both directions.
        HookError: the stream broke.
    """
    subscription = client.subscriptions.get(channel)
    if subscription is None or not subscription.live or subscription.feed is None or not subscription.feed.bidirectional:
        raise ERROR_NOT_AVAILABLE
    await subscription.feed.stream.send(data)
