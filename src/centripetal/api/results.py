"""What methods of the server API return. Bindings turn them into JSON or Protobuf."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from ..model import ClientInfo, Publication
from .errors import ApiError

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class Result(msgspec.Struct, frozen=True, gc=False):
    """Any result; of itself the empty one of methods that only do something."""


class PublishResult(Result, frozen=True, gc=False, omit_defaults=True):
    """Position of the publication; empty without history."""

    offset: int = 0
    epoch: str = ""


class BroadcastResult(Result, frozen=True):
    """What became of each publish, in the order of the channels."""

    responses: list[PublishResult | ApiError]


class PresenceResult(Result, frozen=True):
    """Who is in the channel, by connection id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(Result, frozen=True):
    """How many connections and distinct users are in the channel."""

    num_clients: int
    num_users: int


class HistoryResult(Result, frozen=True):
    """Publications and the stream's top."""

    publications: list[Publication]
    offset: int
    epoch: str


class InfoResult(Result, frozen=True):
    """The nodes alive, each with the wire's names (`NodeResult`)."""

    nodes: list[dict[str, object]]


class ChannelsResult(Result, frozen=True):
    """Channels with subscribers, and how many each has."""

    channels: dict[str, int]


class MapChangeResult(Result, frozen=True, gc=False, omit_defaults=True):
    """What became of a write or removal (wire names `MapPublishResult`, `MapRemoveResult`)."""

    offset: int = 0
    epoch: str = ""
    suppressed: bool = False
    suppress_reason: str = ""


class MapReadResult(Result, frozen=True):
    """Entries or changes of a map, and where it stands (wire names `MapReadStateResult`, `MapReadStreamResult`).

    Attributes:
        cursor: asks for the next page of a state; empty at its end and for changes.
    """

    entries: list[Publication]
    offset: int
    epoch: str
    cursor: str = ""


class MapStatsResult(Result, frozen=True, gc=False, omit_defaults=True):
    """How many keys a map has."""

    num_keys: int = 0


Outcome = Result | ApiError
"""What a method returns, or a coroutine that waits for it."""

_OUTCOMES = frozenset((ApiError, Result, *Result.__subclasses__()))


def is_outcome(value: Outcome | Coroutine[Any, Any, Outcome]) -> TypeIs[Outcome]:
    """Whether a method has returned its outcome already. Quicker than to look at base classes."""
    return type(value) in _OUTCOMES


EMPTY = Result()
"""The result of methods that return nothing."""
