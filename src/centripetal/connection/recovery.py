"""What a subscriber missed: read from the history and joined, without hole or double, to what came meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..fanout.prepared import patch_between
from ..fanout.tags_filter import TagsFilter
from ..interfaces import HistoryFilter
from ..model import Publication, StreamPosition
from ..model.errors import ERROR_UNRECOVERABLE_POSITION
from ..node.positions import follows
from ..protocol.commands import SubscribeRequest
from ..protocol.results import PublicationEntry
from .grant import Grant
from .hooks import ask_to_fill

if TYPE_CHECKING:
    from ..node.node import Node
    from ..node.shared_entries import StreamEntries

REJECT_UNRECOVERED = 2
"""Bit of the subscribe request's `flag`: error 112 in place of a subscription that could not recover."""

SLICE_SECONDS = 0.004


@dataclass(slots=True)
class Recovered:
    """What reading a stream for a subscriber gave.

    Attributes:
        top: where the stream ends; the subscriber stands there when it goes live.
        publications: what it missed, in order, filtered; only when recovered.
        recovered: nothing is missing.
        last_offset: offset of the last publication that it gets or has got, 0 when unknown; patches build on it.
    """

    top: StreamPosition
    publications: list[Publication] = field(default_factory=list)
    recovered: bool = False
    last_offset: int = 0


async def read_stream(
    node: Node, channel: str, request: SubscribeRequest, grant: Grant, tags_filter: TagsFilter | None
) -> Recovered:
    """Reads what a subscription needs of a stream: its top, and what was missed where that is asked for.

    Raises:
        ClientError: 112, unrecovered and the request does not want that.
        BrokerError: the broker cannot be read.
    """
    if grant.recoverable and (request.recover or grant.auto_cache_recover):
        if grant.cache:
            node.counters.actions["history_recover_cache"] += 1
            found = await _read_cache(node, channel, request, grant, tags_filter)
        else:
            node.counters.actions["history_recover"] += 1
            found = await _read_missed(node, channel, request, grant, tags_filter)
            if not found.recovered and request.flag & REJECT_UNRECOVERED:
                raise ERROR_UNRECOVERABLE_POSITION
        node.counters.recoveries[(found.recovered, bool(found.publications))] += 1
        if found.recovered:
            node.counters.recovered_publications.observe(len(found.publications))
        return found
    node.counters.actions["history_stream_top"] += 1
    _, top = await node.sources.history(channel, HistoryFilter(), grant.history_meta_ttl_seconds)
    return Recovered(top)


async def _read_missed(
    node: Node, channel: str, request: SubscribeRequest, grant: Grant, tags_filter: TagsFilter | None
) -> Recovered:
    limit = node.client.recovery_max_publication_limit or -1
    wanted = HistoryFilter(limit, StreamPosition(request.offset, ""))
    missed, top = await node.sources.history(channel, wanted, grant.history_meta_ttl_seconds)
    if request.epoch and request.epoch != top.epoch:
        return Recovered(top)
    # PUB/SUB may lag behind the history: never give again what the client has.
    missed = [publication for publication in missed if publication.offset > request.offset]
    if not follows(request.offset, missed, top.offset):
        return Recovered(top)
    last_offset = missed[-1].offset if missed else 0
    if tags_filter is not None:
        missed = [publication for publication in missed if tags_filter.matches(publication.tags)]
        if not missed or missed[-1].offset != last_offset:
            last_offset = 0
    return Recovered(top, missed, True, last_offset)


async def _read_cache(
    node: Node, channel: str, request: SubscribeRequest, grant: Grant, tags_filter: TagsFilter | None
) -> Recovered:
    newest_first = HistoryFilter(1, None, True)
    latest, top = await node.sources.history(channel, newest_first, grant.history_meta_ttl_seconds)
    if not latest and grant.cache_empty_hook and await ask_to_fill(node, channel, grant.cache_empty_hook):
        latest, top = await node.sources.history(channel, newest_first, grant.history_meta_ttl_seconds)
    has_it = request.offset > 0 and request.offset == top.offset and request.epoch == top.epoch
    if not latest:
        return Recovered(top, [], has_it)
    newest = latest[0]
    if newest.offset != top.offset:
        return Recovered(top)
    if has_it:
        return Recovered(top, [], True)
    if tags_filter is not None and not tags_filter.matches(newest.tags):
        return Recovered(top)
    return Recovered(top, [newest], True, newest.offset)


def merge_waiting(
    found: Recovered, waiting: list[tuple[Publication, str]], grant: Grant, delta: bool, tags_filter: TagsFilter | None
) -> bool:
    """Adds what came while the stream was read.

    Args:
        found: what was read; changed.
        waiting: publications that came meanwhile, in order, with the epochs of their stream.
        grant: of the subscription.
        delta: it negotiated delta.
        tags_filter: of the subscription.

    Returns:
        Whether it follows on what was read. When something was lost in between, or the stream is another one now, it
        has to be read again.
    """
    offset = found.top.offset
    for publication, epoch in waiting:
        if not publication.offset:
            continue
        if epoch != found.top.epoch:
            return False
        if publication.offset <= offset:
            continue
        if publication.offset != offset + 1:
            return False
        offset = publication.offset
        if tags_filter is not None and not tags_filter.matches(publication.tags):
            found.last_offset = 0
        elif found.recovered:
            found.publications.append(publication)
            found.last_offset = offset
    found.top = StreamPosition(offset, found.top.epoch)
    if grant.cache and not delta and len(found.publications) > 1:
        del found.publications[:-1]
    return True


class PatchBases:
    """What the patches in a list build on: the publication before, in a map the value before of the same key."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: dict[str, Publication] = {}

    def take(self, publication: Publication) -> Publication | None:
        """Returns what a patch of the next publication in the list builds on, None for nothing."""
        if publication.removed:
            self._latest.pop(publication.key, None)
            return None
        base = self._latest.get(publication.key)
        self._latest[publication.key] = publication
        return base


async def entries_of(
    codec: Any,
    publications: list[Publication],
    delta: bool,
    bases: PatchBases | None = None,
    shared: StreamEntries | None = None,
) -> list[PublicationEntry]:
    """Returns the entries of a reply, patched and encoded in slices, so that a long list does not hold the loop.

    Args:
        codec: of the connection.
        publications: in order.
        delta: entries are in the form for subscribers that negotiated it.
        bases: of patches; None for none, so that all entries are whole.
        shared: entries of the stream that the publications are of, which others have read; None if they are of none.

    Raises:
        UnencodableData: the codec cannot carry one.
    """
    if shared is not None and not delta:
        try:
            return [shared.known[publication.offset] for publication in publications]
        except KeyError:
            pass
    entries: list[PublicationEntry] = []
    started = time.perf_counter()
    for publication in publications:
        base = bases.take(publication) if delta and bases is not None else None
        key = publication.offset if base is None else (publication.offset, base.offset)
        entry = shared.known.get(key) if shared is not None else None
        if entry is None:
            entry = _entry_of(publication, delta, base)
            encoded = codec.encode_entry(entry)
            entry = PublicationEntry(publication, delta, entry.patch, encoded)
            if shared is not None:
                shared.keep(key, entry, len(publication.data) + len(encoded))
        entries.append(entry)
        if time.perf_counter() - started > SLICE_SECONDS:
            await asyncio.sleep(0)
            started = time.perf_counter()
    return entries


def extend_entries(
    entries: list[PublicationEntry], publications: list[Publication], delta: bool, bases: PatchBases
) -> None:
    """Adds the entries that a list of publications has beyond those already made."""
    for publication in publications[len(entries) :]:
        entries.append(_entry_of(publication, delta, bases.take(publication) if delta else None))


def _entry_of(publication: Publication, delta: bool, base: Publication | None) -> PublicationEntry:
    patch = None if base is None else patch_between(base.data, publication.data)
    return PublicationEntry(publication, fossil=delta, patch=patch)
