"""A key that is tracked in a polled channel."""

from __future__ import annotations

import hashlib

from ...fanout.keyed import KeySubscribers, Scope

NOTHING_KNOWN = b""


class PolledKey:
    """A key that somebody tracks.

    Attributes:
        name: the key.
        version: of the value that was sent last, 0 for none.
        digest: of that value.
        data: the value, where it is kept.
        wanted: somebody lacks the value.
        fresh: it came without being asked for; the next cycle leaves it out.
        calling: a call for it is on its way or waits.
        asked_whole: that call asks as if nothing were known.
        subscribers: who tracks it.
    """

    __slots__ = ("asked_whole", "calling", "data", "digest", "fresh", "name", "subscribers", "version", "wanted")

    def __init__(self, name: str, scope: Scope) -> None:
        self.name = name
        self.version = 0
        self.digest = NOTHING_KNOWN
        self.data: bytes | None = None
        self.wanted = False
        self.fresh = False
        self.calling = False
        self.asked_whole = False
        self.subscribers = KeySubscribers(scope)


def digest_of(data: bytes) -> bytes:
    """Returns what stands for a value when it is compared."""
    return hashlib.blake2b(data, digest_size=16).digest()
