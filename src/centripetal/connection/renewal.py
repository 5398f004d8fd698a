"""Connections and subscriptions that expire are prolonged, or not, by the application (hooks refresh and sub_refresh)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

from ..interfaces import HookError
from ..interfaces.hooks import (
    PROLONGED_SECONDS,
    REFRESH,
    SUB_REFRESH,
    Event,
    Hook,
    RefreshAnswer,
    RefreshEvent,
    SubRefreshAnswer,
    SubRefreshEvent,
)
from ..model import ClientError, Disconnect
from ..model.errors import DISCONNECT_EXPIRED, DISCONNECT_SUBSCRIPTION_EXPIRED, UNSUBSCRIBE_EXPIRED
from . import duties
from .hooks import caller_of
from .server_side import MAX_TTL_SECONDS
from .subscription import BEING_REFRESHED, CLIENT_SIDE_REFRESH, SERVER_SIDE, Subscription
from .unsubscribe import unsubscribe_quietly

if TYPE_CHECKING:
    from .client import Client

Q = TypeVar("Q")
A = TypeVar("A")


async def _ask(client: Client, event: Event[Q, A], hook: Hook[Q, A], request: Q, prolonged: A) -> A | None:
    """Returns the answer; `prolonged` when the hook fails, None when it refuses."""
    try:
        return await hook(request)
    except (ClientError, Disconnect):
        return None
    except HookError:
        return prolonged
    except Exception:  # noqa: BLE001 - a mistake of a hook must not end the others
        structlog.get_logger("centripetal.connection").exception("hook_failed", hook=event.name, client=client.id)
        return prolonged


def _until(client: Client) -> int:
    return int(client.node.clock.time()) + PROLONGED_SECONDS


async def refresh_connection(client: Client) -> None:
    """Asks whether an expired connection may go on; ends it with 3005 if not."""
    hook = client.node.hooks.find(REFRESH)
    answer = None
    if hook is not None:
        prolonged = RefreshAnswer(expire_at=_until(client))
        answer = await _ask(client, REFRESH, hook, RefreshEvent(caller=caller_of(client)), prolonged)
    now = int(client.node.clock.time())
    if answer is None or answer.expired or answer.expire_at <= now:
        client.disconnect(DISCONNECT_EXPIRED)
        return
    client.expire_at = min(answer.expire_at, now + MAX_TTL_SECONDS)
    client.info = answer.info or client.info
    client.meta = answer.meta or client.meta
    duties.set_expiry(client)


def may_refresh(client: Client, channel: str, subscription: Subscription) -> bool:
    """Whether there is somebody to ask about a subscription that has expired."""
    return not subscription.flags & CLIENT_SIDE_REFRESH and _sub_hook(client, channel) is not None


def _sub_hook(client: Client, channel: str) -> Hook[SubRefreshEvent, SubRefreshAnswer] | None:
    try:
        options = client.node.namespaces.options_of(channel)
    except ClientError:
        return None  # the namespace is gone since a reload
    if not options.sub_refresh_proxy_enabled:
        return None
    return client.node.hooks.find(SUB_REFRESH, options.sub_refresh_proxy_name)


async def refresh_subscription(client: Client, channel: str, subscription: Subscription) -> None:
    """Asks whether an expired subscription may go on; ends it if not (2501, or 3006 for a server-side one)."""
    hook = _sub_hook(client, channel)
    answer = None
    if hook is not None:
        subscription.flags |= BEING_REFRESHED
        try:
            prolonged = SubRefreshAnswer(expire_at=_until(client))
            event = SubRefreshEvent(caller=caller_of(client), channel=channel)
            answer = await _ask(client, SUB_REFRESH, hook, event, prolonged)
        finally:
            subscription.flags &= ~BEING_REFRESHED
    if client.subscriptions.get(channel) is not subscription or not subscription.live:
        return  # it ended meanwhile
    now = client.node.clock.time()
    if answer is None or answer.expired or 0 < answer.expire_at < now:
        expire_subscription(client, channel, subscription)
        return
    subscription.expire_at = max(answer.expire_at, 0)
    subscription.info = answer.info or subscription.info


def expire_subscription(client: Client, channel: str, subscription: Subscription) -> None:
    """Ends a subscription that has expired."""
    if subscription.flags & SERVER_SIDE:
        client.disconnect(DISCONNECT_SUBSCRIPTION_EXPIRED)
    else:
        unsubscribe_quietly(client, channel, UNSUBSCRIBE_EXPIRED)
