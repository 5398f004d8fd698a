"""shared_poll_publish: a value of a key, for those who track it."""

from __future__ import annotations

from ..contract import ApiNode
from ..errors import BAD_REQUEST, NOT_AVAILABLE, ApiError
from ..requests import MAX_UINT64, SharedPollPublishRequest
from ..results import EMPTY, Result
from .payload import payload


async def shared_poll_publish(node: ApiNode, request: SharedPollPublishRequest) -> Result | ApiError:
    """Gives a value to those who track its key and have an older one (`shared_poll_publish`)."""
    channel, key, version = request.channel or "", request.key or "", request.version or 0
    if not channel or not key or not 0 < version <= MAX_UINT64:
        return BAD_REQUEST
    options = node.namespaces.options_of(channel)
    if options.subscription_type != "shared_poll":
        return BAD_REQUEST
    if not options.shared_poll.publish_enabled:
        return NOT_AVAILABLE
    data = payload(request.data, request.b64data)
    if data is None:
        return BAD_REQUEST
    await node.polls.publish(channel, key, data, version, request.epoch or "")
    return EMPTY
