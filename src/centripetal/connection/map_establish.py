"""The making of a map subscription: what changed since its pages were read, and going live, without gap.

The steps are those of every subscription (`establish`). Other than there, a subscription that cannot follow on where the
client stands is not made (112): the client reads the state again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fanout.channel import Channel, Group
from ..interfaces import HistoryFilter, StateFilter
from ..model import Publication, StreamPosition
from ..model.errors import ERROR_UNRECOVERABLE_POSITION
from ..node.positions import follows
from ..protocol.commands import SubscribeRequest
from ..protocol.results import PublicationEntry, SubscribeResult
from .establish import Making
from .paging import Paging
from .recovery import PatchBases, Recovered, entries_of

if TYPE_CHECKING:
    from .client import Client

MAP_RESULT = 1
"""`type` in the results of all map subscriptions."""


class MapMaking(Making):
    """A map subscription on its way to going live."""

    __slots__ = ("_limit", "_paging", "_recovering", "_since", "_state")

    def __init__(
        self,
        client: Client,
        request: SubscribeRequest,
        paging: Paging,
        *,
        since: StreamPosition,
        limit: int,
        state: list[PublicationEntry],
        recovering: bool,
    ) -> None:
        """Takes over from paging.

        Args:
            client: whose.
            request: the last one.
            paging: what was read so far.
            since: where the client stands.
            limit: at most so many changes are read of the stream; negative for all.
            state: the last page of the state, for the reply.
            recovering: the client comes with a position.

        Raises:
            ClientError: 110, the subscription has expired already.
        """
        super().__init__(client, paging.name, request, paging.grant)
        self.tags_filter = paging.tags_filter
        self._paging = paging
        self._since = since
        self._limit = limit
        self._state = state
        self._recovering = recovering

    async def _find(self) -> Recovered:
        """Reads the changes behind the client's position.

        Raises:
            ClientError: 112, some of them are lost.
        """
        paging, since = self._paging, self._since
        wanted = HistoryFilter(self._limit + 1 if self._limit >= 0 else -1, StreamPosition(since.offset, ""))
        changes, top = await self.client.node.maps.read_stream(self.name, wanted, paging.retention)
        if since.epoch == top.epoch:
            missed = [change for change in changes if change.offset > since.offset]
            if (self._limit < 0 or len(missed) <= self._limit) and follows(since.offset, missed, top.offset):
                return self._recovered(missed, top)
            bridged = paging.bridge()
            if bridged is not None and bridged.epoch == top.epoch and bridged.offset >= since.offset:
                if self._waiting:
                    self._waiting.clear()  # the log has it, too
                missed = [change for change in paging.unseen() if change.offset > since.offset]
                return self._recovered(missed, bridged)
        raise ERROR_UNRECOVERABLE_POSITION

    def _recovered(self, missed: list[Publication], top: StreamPosition) -> Recovered:
        return Recovered(top, [change for change in missed if self._paging.is_wanted(change)], True)

    async def _begin(self, channel: Channel) -> tuple[Recovered, list[PublicationEntry]]:
        """Returns what changed in a map without a stream while its pages were read.

        Raises:
            ClientError: 112, the map was cleared meanwhile.
        """
        paging, codec = self._paging, self.client.encoding.codec
        if paging.frozen is None:
            page = await self.client.node.maps.read_state(self.name, StateFilter(), paging.retention)
            self._check_wanted()
            return Recovered(page.position), []
        if paging.log is None or paging.log.broken:
            raise ERROR_UNRECOVERABLE_POSITION
        if self._waiting:
            self._waiting.clear()
        changes = [change for change in paging.unseen() if paging.is_wanted(change)]
        entries = await entries_of(codec, changes, self.delta, PatchBases())
        self._check_wanted()
        return Recovered(paging.frozen, changes), entries

    def _result(self, found: Recovered, entries: list[PublicationEntry]) -> SubscribeResult:
        recovered = self._recovering and self.request.recover
        if recovered:
            counters = self.client.node.counters
            counters.recoveries[(True, bool(entries))] += 1
            counters.recovered_publications.observe(len(entries))
        return SubscribeResult(
            recoverable=self.grant.recoverable,
            epoch=found.top.epoch,
            offset=found.top.offset,
            publications=entries,
            recovered=recovered,
            was_recovering=recovered,
            data=self.grant.data,
            delta=self.delta,
            type=MAP_RESULT,
            state=self._state,
            publish_debounce=self.grant.publish_debounce_ms,
        )

    def _enter(self, channel: Channel) -> Group:
        since = self._since.offset if self._paging.frozen is None else 0
        return channel.add(
            self.client,
            self.client.encoding,
            fossil=self.delta,
            tags_filter=self.tags_filter,
            positioned=True,  # also without a stream: all are told when the state is lost
            since=since,
        )
