"""The command `subscribe` for maps: the phases state, stream and live.

A client reads the state in pages (phase 2). The first page freezes a position; what changed behind it is in no later page.
After the last page the client is live if it is close enough to the stream's top, or reads the stream in pages (phase 1) until
it is. A client that comes back with a position begins with phase 1 or 0. The reply that makes it live has phase 0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from ..interfaces import HistoryFilter, StateFilter
from ..model import Publication, StreamPosition
from ..model.errors import (
    DISCONNECT_CONNECTION_CLOSED,
    DISCONNECT_SERVER_ERROR,
    DISCONNECT_SLOW,
    ERROR_BAD_REQUEST,
    ERROR_CONCURRENT_PAGINATION,
    ERROR_PERMISSION_DENIED,
    ERROR_UNRECOVERABLE_POSITION,
)
from ..node.settings import MapOptions
from ..protocol.commands import SubscribeRequest
from ..protocol.results import PublicationEntry, SubscribeResult
from . import duties
from .establish import FOSSIL, tags_filter_of
from .map_establish import MAP_RESULT, MapMaking
from .paging import Paging
from .recovery import entries_of
from .state import CLOSED
from .subscribe import authorize, release, reserve
from .subscription import Subscription

if TYPE_CHECKING:
    from .client import Client

LIVE, STREAM, STATE = 0, 1, 2
"""Values of the subscribe request's `phase`."""

DEFAULT_PAGE_SIZE = 100
MIN_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
CATCH_UP_TIMEOUT_SECONDS = 5.0
"""What holds where the namespace does not say (`map.*_page_size`, `map.subscribe_catch_up_timeout`)."""


async def subscribe_map(client: Client, request: SubscribeRequest, command_id: int) -> None:
    """Handles the command `subscribe` with the type of a map; see subscribe().

    Raises:
        ClientError: 102, 103, 105, 106, 107, 109, 110; 112, changes are lost or the map is another one; 113, a page of
            this map is being read.
        Disconnect: 3008, the client took too long; 3500; 3004, the engine failed.
        BrokerError: the state cannot be read.
    """
    paging = client.subscriptions.get(request.channel)
    if not isinstance(paging, Paging) or (request.phase == STATE and not request.cursor):
        paging = await _reserve(client, request)
    elif paging.busy:
        raise ERROR_CONCURRENT_PAGINATION
    elif 0 < paging.deadline < client.node.clock.monotonic():
        paging.abandon(client)
        raise DISCONNECT_SLOW
    handler = _PHASES.get(request.phase)
    paging.busy = True
    try:
        if handler is None:
            raise ERROR_BAD_REQUEST
        await handler(client, request, command_id, paging)
    except BaseException:
        paging.abandon(client)
        raise
    paging.finish()


async def _reserve(client: Client, request: SubscribeRequest) -> Paging:
    """Takes a place for a channel, for a client that may subscribe."""
    channel, node = request.channel, client.node
    reserve(client, channel)
    try:
        if request.cursor:
            raise ERROR_PERMISSION_DENIED
        grant = await authorize(client, request)
        if client.subscriptions[channel].feed is not None:
            raise ERROR_BAD_REQUEST  # the application's stream has no state
        rules = node.namespaces.rules_of(channel)
        retention = node.maps.retention_of(channel)
        kept = retention.stream_size > 0
        grant = msgspec.structs.replace(
            grant,
            positioned=kept,
            recoverable=kept,
            cache=False,
            auto_cache_recover=False,
            history_meta_ttl_seconds=retention.meta_ttl_seconds,
            delta_types=tuple(rules.options.allowed_delta_types),
            remove_client_key=rules.options.map.remove_client_on_unsubscribe,
        )
        timeout = rules.options.map.subscribe_catch_up_timeout or CATCH_UP_TIMEOUT_SECONDS
        deadline = node.clock.monotonic() + timeout if timeout > 0 else 0.0
        paging = Paging(channel, grant, retention, tags_filter_of(request, grant), deadline)
    except BaseException:
        release(client, channel)
        raise
    paging.settled = client.subscriptions[channel].settled
    client.subscriptions[channel] = paging
    return paging


def page_size(request: SubscribeRequest, options: MapOptions) -> int:
    """Returns how many entries a page has: what the client asks for, within the namespace's bounds."""
    wanted = request.limit if request.limit > 0 else options.default_page_size or DEFAULT_PAGE_SIZE
    return min(max(wanted, options.min_page_size or MIN_PAGE_SIZE), options.max_page_size or MAX_PAGE_SIZE)


async def read_state(client: Client, request: SubscribeRequest, command_id: int, paging: Paging) -> None:
    """Answers with a page of the state (phase 2); the last one may make the client live."""
    node = client.node
    limit = page_size(request, node.namespaces.options_of(paging.name).map)
    if paging.log is None:
        await paging.begin(client)
        _check_wanted(client, paging)
    assert paging.log is not None
    mark = paging.log.sequence
    page = await node.maps.read_state(
        paging.name, StateFilter(request.cursor, limit, asc=request.asc), paging.retention
    )
    _check_wanted(client, paging)
    if paging.frozen is None:
        paging.frozen = page.position
        paging.epoch = page.position.epoch
    frozen, entries = paging.frozen, page.entries
    asked = request.epoch if request.offset or request.epoch else frozen.epoch
    if page.position.epoch != frozen.epoch or page.position.epoch != asked:
        raise ERROR_UNRECOVERABLE_POSITION
    if paging.grant.recoverable:
        entries = [entry for entry in entries if entry.offset <= frozen.offset]
    else:
        paging.note_read(entries, mark)
    state = await _entries(client, request, paging, entries)
    if not page.cursor and await _is_close(client, paging, limit):
        await _go_live(client, request, command_id, paging, since=frozen, state=state)
        return
    result = SubscribeResult(
        epoch=frozen.epoch, offset=frozen.offset, type=MAP_RESULT, phase=STATE, cursor=page.cursor, state=state
    )
    client.reply(command_id, "subscribe", result)
    _await_next(client, paging)


async def _is_close(client: Client, paging: Paging, limit: int) -> bool:
    """Whether a client that has the whole state can go live, without reading the stream in pages first."""
    frozen = paging.frozen
    assert frozen is not None
    if not paging.grant.recoverable:
        return True
    maps = client.node.maps
    first, top = await maps.read_stream(paging.name, HistoryFilter(1, frozen), paging.retention)
    _check_wanted(client, paging)
    if top.epoch != frozen.epoch:
        raise ERROR_UNRECOVERABLE_POSITION
    if frozen.offset + limit >= top.offset:
        return True
    # A stream that does not reach back so far cannot be read in pages, but the log of changes may do.
    return not first or first[0].offset != frozen.offset + 1


async def read_changes(client: Client, request: SubscribeRequest, command_id: int, paging: Paging) -> None:
    """Answers with a page of the stream (phase 1), until the client is close enough to its top to be live."""
    maps = client.node.maps
    if not paging.grant.recoverable:
        raise ERROR_BAD_REQUEST
    if paging.frozen is None and paging.stream_end is None:
        if not request.recover:
            raise ERROR_PERMISSION_DENIED
        paging.epoch = request.epoch
    _check_epoch(request, paging)
    if paging.stream_end is None:
        _, top = await maps.read_stream(paging.name, HistoryFilter(), paging.retention)
        _check_wanted(client, paging)
        paging.stream_end = top.offset
    since = StreamPosition(request.offset, request.epoch)
    limit = page_size(request, client.node.namespaces.options_of(paging.name).map)
    if since.offset + limit >= paging.stream_end:
        await _go_live(client, request, command_id, paging, since=since, recovering=True)
        return
    changes, top = await maps.read_stream(
        paging.name, HistoryFilter(limit, StreamPosition(since.offset, "")), paging.retention
    )
    _check_wanted(client, paging)
    if since.epoch and since.epoch != top.epoch:
        raise ERROR_UNRECOVERABLE_POSITION
    if not changes or changes[0].offset != since.offset + 1:
        await _go_live(client, request, command_id, paging, since=since, recovering=True)  # by the log, or not at all
        return
    result = SubscribeResult(
        epoch=top.epoch,
        offset=changes[-1].offset,
        type=MAP_RESULT,
        phase=STREAM,
        publications=await _entries(client, request, paging, changes),
    )
    client.reply(command_id, "subscribe", result)
    _await_next(client, paging)


async def join(client: Client, request: SubscribeRequest, command_id: int, paging: Paging) -> None:
    """Makes the client live from where it stands (phase 0)."""
    _check_epoch(request, paging)
    if request.recover and not paging.grant.recoverable:
        raise ERROR_UNRECOVERABLE_POSITION  # nothing tells what changed meanwhile
    since = StreamPosition(request.offset, request.epoch)
    await _go_live(client, request, command_id, paging, since=since, recovering=True)


_PHASES: dict[int, Callable[[Client, SubscribeRequest, int, Paging], Awaitable[None]]] = {
    STATE: read_state,
    STREAM: read_changes,
    LIVE: join,
}


async def _go_live(
    client: Client,
    request: SubscribeRequest,
    command_id: int,
    paging: Paging,
    *,
    since: StreamPosition,
    state: list[PublicationEntry] | None = None,
    recovering: bool = False,
) -> None:
    name, options = paging.name, client.node.namespaces.options_of(paging.name).map
    limit = options.live_transition_max_publication_limit or options.max_page_size or MAX_PAGE_SIZE
    subscription = Subscription()
    subscription.settled, paging.settled = paging.settled, None
    client.subscriptions[name] = subscription
    try:
        making = MapMaking(
            client, request, paging, since=since, limit=limit, state=state or [], recovering=recovering
        )
    except BaseException:
        release(client, name)
        raise
    await making.make(buffer=True)
    client.reply(command_id, "subscribe", making.result)
    making.go_live()
    paging.release(client)
    await making.announce()


async def _entries(
    client: Client, request: SubscribeRequest, paging: Paging, publications: list[Publication]
) -> list[PublicationEntry]:
    """Returns whole entries for those publications that the client wants."""
    wanted = [publication for publication in publications if paging.is_wanted(publication)]
    fossil = request.delta == FOSSIL and FOSSIL in paging.grant.delta_types
    entries = await entries_of(client.encoding.codec, wanted, fossil)
    _check_wanted(client, paging)
    return entries


def _check_epoch(request: SubscribeRequest, paging: Paging) -> None:
    if request.epoch and paging.epoch and request.epoch != paging.epoch:
        raise ERROR_UNRECOVERABLE_POSITION


def _check_wanted(client: Client, paging: Paging) -> None:
    """While waiting, the client may have left."""
    if client.state == CLOSED:
        raise DISCONNECT_CONNECTION_CLOSED
    if client.subscriptions.get(paging.name) is not paging:
        raise DISCONNECT_SERVER_ERROR


def _await_next(client: Client, paging: Paging) -> None:
    if paging.deadline:
        duties.watch_paging(client, paging.deadline)
