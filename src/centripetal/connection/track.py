"""The command `sub_refresh` of shared polls: which keys a client tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.errors import (
    ERROR_BAD_REQUEST,
    ERROR_LIMIT_EXCEEDED,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
)
from ..node.polls import PolledChannel, SignatureExpired, SignatureInvalid, verify_signature
from ..protocol.commands import SubRefreshRequest
from ..protocol.results import PublicationEntry, SubRefreshResult
from . import duties
from .tracking import Tracking

if TYPE_CHECKING:
    from .client import Client

TRACK, UNTRACK = 1, 2
"""Values of the request's `type`; 0 is a new token."""


def change_keys(client: Client, request: SubRefreshRequest, command_id: int, tracking: Tracking) -> None:
    """Handles `sub_refresh` with one of these types.

    Raises:
        ClientError: 103, a signature is wrong; 106, too many keys; 107, malformed; 109, a signature is expired.
    """
    polled = tracking.polled
    assert polled is not None
    if client not in polled.subscribers:
        raise ERROR_PERMISSION_DENIED  # the subscription is lost, of which the client is being told
    (_track if request.type == TRACK else _untrack)(client, request, command_id, tracking, polled)


def _track(
    client: Client, request: SubRefreshRequest, command_id: int, tracking: Tracking, polled: PolledChannel
) -> None:
    """Begins to track keys under one or more signatures; `untrack` takes some out, of these or of others.

    A key that is in several batches counts as in the last one.
    """
    versions: dict[str, int] = {}
    for batch in request.track:
        for item in batch.items:
            if not item.key or "\0" in item.key:
                raise ERROR_BAD_REQUEST  # a zero byte would make two keys of one, or one of two, under a signature
            versions[item.key] = item.version
    if not versions:
        raise ERROR_BAD_REQUEST
    _check_limit(tracking, versions, request.untrack, polled.rules.max_keys)
    expiries = _verify(client, request)
    for name in request.untrack:
        versions.pop(name, None)
        expiries.pop(name, None)
    if request.untrack:
        tracking.untrack(client, list(request.untrack))
    items = []
    if polled.rules.versioned and polled.rules.keep_data:
        for name, version in versions.items():
            kept = polled.kept(name)
            if kept is not None and kept.version > version:
                items.append(PublicationEntry(kept, fossil=tracking.fossil))
                versions[name] = kept.version
    first = min((expiry for expiry in expiries.values() if expiry), default=0)
    ttl = first - int(client.node.clock.time()) if first else 0
    client.reply(command_id, "sub_refresh", SubRefreshResult(expires=first > 0, ttl=max(ttl, 0), items=items))
    if not tracking.live:
        return  # the reply could not be encoded, and the connection has ended
    polled.send_kept(tracking.track(client, versions, expiries))
    duties.watch_keys(client)


def _check_limit(tracking: Tracking, versions: dict[str, int], untracked: tuple[str, ...], limit: int) -> None:
    gone = set(untracked)
    staying = sum(name not in gone for name in tracking.keys) if gone else len(tracking.keys)
    if staying + sum(name not in tracking.keys and name not in gone for name in versions) > limit:
        raise ERROR_LIMIT_EXCEEDED


def _verify(client: Client, request: SubRefreshRequest) -> dict[str, int]:
    """Checks all signatures; returns when they expire, by key.

    Raises:
        ClientError: 103 or 109.
    """
    expiries: dict[str, int] = {}
    now = client.node.clock.time()
    for batch in request.track:
        keys = [item.key for item in batch.items]
        try:
            expiry = verify_signature(
                client.node.shared_poll,
                batch.signature,
                user=client.user,
                channel=request.channel,
                keys=keys,
                now=now,
            )
        except SignatureExpired:
            raise ERROR_TOKEN_EXPIRED from None
        except SignatureInvalid:
            raise ERROR_PERMISSION_DENIED from None
        for key in keys:
            expiries[key] = expiry
    return expiries


def _untrack(
    client: Client, request: SubRefreshRequest, command_id: int, tracking: Tracking, polled: PolledChannel
) -> None:
    """Ends the tracking of keys."""
    if not request.untrack:
        raise ERROR_BAD_REQUEST
    tracking.untrack(client, list(request.untrack))
    client.reply(command_id, "sub_refresh", SubRefreshResult())
