"""What the nodes of a cluster have together: channels, connections of a user, what each says of itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from ..fanout.hub import Hub
from ..interfaces import Clock
from .cluster import Cluster
from .info import decode_account, describe_group, describe_others, names_of
from .patterns import compile_pattern
from .registry import Registry

CHANNELS_A_SLICE = 1000
"""So many channel names are matched in one go: at most four milliseconds."""

CHANNELS, CONNECTIONS, ACCOUNT = "channels", "connections", "account"
"""Topics of questions to other nodes."""

Place = tuple[float, str]
"""In the queue of those who come in: a time that the nodes of a group have in common, and the node."""

_decode_newcomer = msgspec.msgpack.Decoder(tuple[str, Place]).decode
_decode_channels = msgspec.msgpack.Decoder(dict[str, int]).decode


class Census:
    """Counts here and asks the others.

    Args:
        registry, hub: of this node.
        describe: returns this node's description.
        cluster: the other nodes, None for a node alone.
        clock: tells who came first; the nodes of a group, which are processes of one machine, have it in common.
    """

    def __init__(
        self,
        registry: Registry,
        hub: Hub,
        describe: Callable[[], dict[str, object]],
        cluster: Cluster | None,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._describe = describe
        self._cluster = cluster
        self._clock = clock
        self._newcomers: dict[str, set[Place]] = {}
        self._last_place = 0.0
        if cluster is not None:
            cluster.handlers[CHANNELS] = self._answer_channels
            cluster.handlers[CONNECTIONS] = self._answer_connections
            cluster.handlers[ACCOUNT] = self._answer_account

    async def channels(self, pattern: str = "") -> dict[str, int]:
        """Returns the channels with subscribers and how many each has.

        Args:
            pattern: glob; empty for all.

        Raises:
            PatternError: the glob is broken.
            BrokerError: other nodes cannot be asked.
        """
        found = await self._own_channels(pattern)
        if self._cluster is not None:
            answers = await self._cluster.ask(CHANNELS, pattern.encode())
            for answer in answers.values():
                for name, count in _decode_channels(answer).items():
                    found[name] = found.get(name, 0) + count
        return found

    async def _own_channels(self, pattern: str) -> dict[str, int]:
        matches = compile_pattern(pattern) if pattern else None
        found: dict[str, int] = {}
        for number, (name, channel) in enumerate(list(self._hub.channels.items()), 1):
            if channel.num_live and (matches is None or matches(name)):
                found[name] = channel.num_live
            if number % CHANNELS_A_SLICE == 0:
                await asyncio.sleep(0)
        return found

    async def _answer_channels(self, pattern: bytes) -> bytes:
        return msgspec.msgpack.encode(await self._own_channels(pattern.decode()))

    async def info(self) -> list[dict[str, object]]:
        """Returns a description of each node, in the wire names of `NodeResult`; nodes of a group have one.

        Raises:
            BrokerError: other nodes cannot be asked.
        """
        own, cluster = self._describe(), self._cluster
        if cluster is None:
            return [own]
        others = cluster.group_members()
        answers = await cluster.ask(ACCOUNT, nodes=others)
        group = [(own, names_of(self._registry.users, self._hub.channels)), *map(decode_account, answers.values())]
        return [describe_group(cluster.group or cluster.node, group), *describe_others(cluster)]

    async def _answer_account(self, body: bytes) -> bytes:
        return msgspec.msgpack.encode((self._describe(), names_of(self._registry.users, self._hub.channels)))

    async def connections_before(self, user: str) -> int:
        """Returns how many connections of a user have the right of way over a newcomer, at all nodes of the group.

        These are the connections that there are, and the newcomers who asked earlier and do not know yet. When it returns, the
        newcomer must be added to the registry, or turned away, before anything else happens.

        Args:
            user: user id.

        Raises:
            BrokerError: other nodes cannot be asked.
        """
        if self._cluster is None:
            return len(self._registry.users.get(user, ()))
        self._last_place = max(self._clock.monotonic(), math.nextafter(self._last_place, math.inf))
        place = self._last_place, self._cluster.node
        self._newcomers.setdefault(user, set()).add(place)
        try:
            question = msgspec.msgpack.encode((user, place))
            answers = await self._cluster.ask(CONNECTIONS, question, self._cluster.group_members())
        finally:
            others = self._newcomers[user]
            others.discard(place)
            if not others:
                del self._newcomers[user]
        return self._count_before(user, place) + sum(map(int, answers.values()))

    async def _answer_connections(self, body: bytes) -> bytes:
        return str(self._count_before(*_decode_newcomer(body))).encode()

    def _count_before(self, user: str, place: Place) -> int:
        earlier = sum(other < place for other in self._newcomers.get(user, ()))
        return len(self._registry.users.get(user, ())) + earlier
