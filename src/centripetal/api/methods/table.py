"""The methods of the server API: adding one is adding a row and a file."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from ..requests import (
    BroadcastRequest,
    ChannelRequest,
    ChannelsRequest,
    DisconnectRequest,
    HistoryRequest,
    InfoRequest,
    MapPublishRequest,
    MapReadStateRequest,
    MapReadStreamRequest,
    MapRemoveRequest,
    PublishRequest,
    RefreshRequest,
    Request,
    RpcRequest,
    SharedPollPublishRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from ..results import Outcome
from . import connections, info, maps, presence, publishing, shared_polls, streams, subscriptions

Handler = Callable[[Any, Any], Outcome | Coroutine[Any, Any, Outcome]]


class Method(NamedTuple):
    """One method.

    Attributes:
        name: on the wire, in metrics, and as the field of batch commands.
        number: in the legacy endpoint.
        request: type of its request.
        handler: function of a node and a request that returns the outcome, or a coroutine that waits for it.
    """

    name: str
    number: int
    request: type[Request]
    handler: Handler


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        # In the order in which a batch command that names several is read.
        Method("publish", 0, PublishRequest, publishing.publish),
        Method("broadcast", 1, BroadcastRequest, publishing.broadcast),
        Method("subscribe", 11, SubscribeRequest, subscriptions.subscribe),
        Method("unsubscribe", 2, UnsubscribeRequest, subscriptions.unsubscribe),
        Method("disconnect", 3, DisconnectRequest, connections.disconnect),
        Method("history", 6, HistoryRequest, streams.history),
        Method("history_remove", 7, ChannelRequest, streams.history_remove),
        Method("presence", 4, ChannelRequest, presence.presence),
        Method("presence_stats", 5, ChannelRequest, presence.presence_stats),
        Method("info", 9, InfoRequest, info.info),
        Method("rpc", 10, RpcRequest, info.rpc),
        Method("refresh", 12, RefreshRequest, connections.refresh),
        Method("channels", 8, ChannelsRequest, info.channels),
        Method("map_publish", 33, MapPublishRequest, maps.map_publish),
        Method("map_remove", 34, MapRemoveRequest, maps.map_remove),
        Method("map_read_state", 35, MapReadStateRequest, maps.map_read_state),
        Method("map_read_stream", 36, MapReadStreamRequest, maps.map_read_stream),
        Method("map_stats", 37, ChannelRequest, maps.map_stats),
        Method("map_clear", 38, ChannelRequest, maps.map_clear),
        Method("shared_poll_publish", 39, SharedPollPublishRequest, shared_polls.shared_poll_publish),
    )
}
"""By name. `batch` is not among them: it is made of them (see Methods.batch)."""
