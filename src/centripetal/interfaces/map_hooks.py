"""Hooks of maps: what the application decides when a client writes or removes a key; see `hooks`."""

from __future__ import annotations

from msgspec import Struct

from .hooks import Caller, Event
from .map_broker import KeyMode


class MapPublishEvent(Struct, frozen=True, kw_only=True):
    """A client wants to write a key of a map; the key may be empty."""

    caller: Caller
    channel: str = ""
    key: str = ""
    data: bytes = b""


class MapPublishAnswer(Struct, frozen=True, kw_only=True):
    """What is written.

    Attributes:
        key: in place of the client's; empty for the client's.
        data: in place of the client's; None for the client's.
        key_mode, tags, idempotency_key, delta, version, version_epoch: as in the API method `map_publish`.
    """

    key: str = ""
    data: bytes | None = None
    key_mode: KeyMode = ""
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class MapRemoveEvent(Struct, frozen=True, kw_only=True):
    """A client wants to remove a key of a map; the key may be empty."""

    caller: Caller
    channel: str = ""
    key: str = ""


class MapRemoveAnswer(Struct, frozen=True, kw_only=True):
    """What is removed.

    Attributes:
        key: in place of the client's; empty for the client's.
        tags: of the removal; empty for those of the key.
        idempotency_key: as in the API method `map_remove`.
    """

    key: str = ""
    tags: dict[str, str] = {}
    idempotency_key: str = ""


MAP_PUBLISH: Event[MapPublishEvent, MapPublishAnswer] = Event("map_publish", MapPublishEvent, MapPublishAnswer)
MAP_REMOVE: Event[MapRemoveEvent, MapRemoveAnswer] = Event("map_remove", MapRemoveEvent, MapRemoveAnswer)
