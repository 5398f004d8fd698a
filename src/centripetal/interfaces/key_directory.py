"""What a directory of keys provides: those that endpoints have given away."""

from __future__ import annotations

from typing import Protocol

import msgspec


class KeyAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a key.

    Attributes:
        key_set: JSON of a key set (RFC 7517) that has this key only; empty if there is no such key or it cannot be fetched.
        age_seconds: since the endpoint was last heard to have it.
        missing_seconds: how long it counts that the endpoint was heard to have no such key; 0 if it was not.
    """

    key_set: bytes = b""
    age_seconds: float = 0.0
    missing_seconds: float = 0.0


class KeyDirectoryError(Exception):
    """The directory cannot be asked."""


class KeyDirectory(Protocol):
    """Keeps the keys of endpoints for several processes."""

    async def find(self, url: str, public_only: bool, kid: str) -> KeyAnswer:
        """Returns what is known of a key, after asking the endpoint if need be.

        Args:
            url: of the endpoint.
            public_only: call no private, loopback or link-local address.
            kid: id of the key.

        Raises:
            KeyDirectoryError: the directory cannot be asked.
        """
