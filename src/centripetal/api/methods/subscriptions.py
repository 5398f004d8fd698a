"""subscribe and unsubscribe: server-side subscriptions of live connections."""

from __future__ import annotations

from ...interfaces import SubscriptionOverrides
from ...model import StreamPosition
from ..contract import ApiNode
from ..errors import BAD_REQUEST, NOT_AVAILABLE, ApiError
from ..requests import (
    MAX_UINT64,
    BoolValue,
    StreamPositionRequest,
    SubscribeOptionOverride,
    SubscribeRequest,
    UnsubscribeRequest,
    UserRequest,
)
from ..results import EMPTY, Result
from .payload import payload


def is_narrowed_by_labels(request: UserRequest) -> bool:
    """Whether the call asks for connections that cannot be told apart here; acting on others would be worse."""
    return request.label_filter is not None or bool(request.all_users)


def stream_position(request: StreamPositionRequest | None) -> StreamPosition | None:
    """Returns the position that a request names."""
    return None if request is None else StreamPosition(request.offset or 0, request.epoch or "")


def _flag(value: BoolValue | None) -> bool | None:
    return None if value is None else bool(value.value)


def _overrides(request: SubscribeOptionOverride | None) -> SubscriptionOverrides | None:
    if request is None:
        return None
    return SubscriptionOverrides(
        presence=_flag(request.presence),
        join_leave=_flag(request.join_leave),
        force_recovery=_flag(request.force_recovery),
        force_positioning=_flag(request.force_positioning),
        force_push_join_leave=_flag(request.force_push_join_leave),
    )


async def subscribe(node: ApiNode, request: SubscribeRequest) -> Result | ApiError:
    """Subscribes connections of a user to a channel (`subscribe`), without asking for permission."""
    channel = request.channel
    if not channel:
        return BAD_REQUEST
    node.namespaces.options_of(channel)
    data = payload(request.data, request.b64data)
    info = payload(request.info, request.b64info)
    since = stream_position(request.recover_since)
    if data is None or info is None or (since is not None and since.offset > MAX_UINT64):
        return BAD_REQUEST
    if is_narrowed_by_labels(request):
        return NOT_AVAILABLE
    await node.subscribe_user(
        request.user or "",
        channel,
        client=request.client or "",
        session=request.session or "",
        expire_at=request.expire_at or 0,
        info=info,
        data=data,
        recover_since=since,
        overrides=_overrides(request.override),
    )
    return EMPTY


async def unsubscribe(node: ApiNode, request: UnsubscribeRequest) -> Result | ApiError:
    """Ends the subscription of a user's connections to a channel, or to all channels (`unsubscribe`)."""
    channel = request.channel or ""
    if channel:
        node.namespaces.options_of(channel)
    if is_narrowed_by_labels(request):
        return NOT_AVAILABLE
    await node.unsubscribe_user(request.user or "", channel, client=request.client or "", session=request.session or "")
    return EMPTY
