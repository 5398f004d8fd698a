"""presence and presence_stats: who is in a channel."""

from __future__ import annotations

from ..contract import ApiNode
from ..errors import BAD_REQUEST, NOT_AVAILABLE, ApiError
from ..requests import ChannelRequest
from ..results import PresenceResult, PresenceStatsResult


def _refusal(node: ApiNode, channel: str) -> ApiError | None:
    if not channel:
        return BAD_REQUEST
    return None if node.namespaces.options_of(channel).presence else NOT_AVAILABLE


async def presence(node: ApiNode, request: ChannelRequest) -> PresenceResult | ApiError:
    """Returns the connections in a channel (`presence`)."""
    channel = request.channel or ""
    refusal = _refusal(node, channel)
    return refusal if refusal is not None else PresenceResult(await node.presence(channel))


async def presence_stats(node: ApiNode, request: ChannelRequest) -> PresenceStatsResult | ApiError:
    """Returns the numbers of connections and users in a channel (`presence_stats`)."""
    channel = request.channel or ""
    refusal = _refusal(node, channel)
    if refusal is not None:
        return refusal
    stats = await node.presence_stats(channel)
    return PresenceStatsResult(stats.num_clients, stats.num_users)
