"""disconnect and refresh: connections of a user."""

from __future__ import annotations

from ...model import Disconnect
from ...model.errors import DISCONNECT_FORCE_NO_RECONNECT
from ..contract import ApiNode
from ..errors import BAD_REQUEST, NOT_AVAILABLE, ApiError
from ..requests import DisconnectCode, DisconnectRequest, RefreshRequest
from ..results import EMPTY, Result
from .subscriptions import is_narrowed_by_labels

MAX_CODE = 65535
"""What fits into a WebSocket close frame; a larger code is error 107."""

MAX_REASON_BYTES = 123
"""What fits into a WebSocket close frame; a longer reason is cut."""


def _disconnect(request: DisconnectCode | None) -> Disconnect:
    if request is None:
        return DISCONNECT_FORCE_NO_RECONNECT
    reason = (request.reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return Disconnect(request.code or 0, reason)


async def disconnect(node: ApiNode, request: DisconnectRequest) -> Result | ApiError:
    """Ends connections of a user (`disconnect`), with 3503 unless the caller gives a code."""
    if is_narrowed_by_labels(request):
        return NOT_AVAILABLE
    reason = _disconnect(request.disconnect)
    if reason.code > MAX_CODE:
        return BAD_REQUEST
    await node.disconnect_user(
        request.user or "",
        reason,
        client=request.client or "",
        session=request.session or "",
        whitelist=[client or "" for client in request.whitelist or ()],
    )
    return EMPTY


async def refresh(node: ApiNode, request: RefreshRequest) -> Result | ApiError:
    """Gives connections of a user a new expiry or ends them (`refresh`)."""
    if is_narrowed_by_labels(request):
        return NOT_AVAILABLE
    await node.refresh_user(
        request.user or "",
        client=request.client or "",
        session=request.session or "",
        expired=bool(request.expired),
        expire_at=request.expire_at or 0,
        info=bytes(request.info) or None,
    )
    return EMPTY
