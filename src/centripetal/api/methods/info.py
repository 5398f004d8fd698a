"""info, channels and rpc: the node itself."""

from __future__ import annotations

from ..contract import ApiNode
from ..errors import BAD_REQUEST, NOT_FOUND, ApiError
from ..requests import ChannelsRequest, InfoRequest, RpcRequest
from ..results import ChannelsResult, InfoResult


async def info(node: ApiNode, _request: InfoRequest) -> InfoResult:
    """Describes the nodes alive (`info`)."""
    return InfoResult(await node.info())


async def channels(node: ApiNode, request: ChannelsRequest) -> ChannelsResult:
    """Lists channels with subscribers (`channels`); a broken pattern is error 100."""
    return ChannelsResult(await node.channels(request.pattern or ""))


async def rpc(_node: ApiNode, request: RpcRequest) -> ApiError:
    """Calls an extension (`rpc`). A server has none of its own, as the reference has none."""
    return NOT_FOUND if request.method else BAD_REQUEST
