"""Results of publishes by idempotency key, each until it expires."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from ...model import StreamPosition
from .expiry import ExpiryWheel, Occupancy

_LONGEST_KEY = 128
_DIGEST_BYTES = 24


class _StoredResult(msgspec.Struct, frozen=True, gc=False):
    position: StreamPosition
    expires_at: float


class IdempotentResults:
    """Positions that publishes with an idempotency key got, per channel and key.

    What one result holds is bounded whatever the key's length; how many there are is bounded by their lifetime.
    """

    __slots__ = ("_occupancy", "_results", "_wheel")

    def __init__(self) -> None:
        self._results: dict[str | bytes, _StoredResult] = {}
        self._wheel: ExpiryWheel[str | bytes] = ExpiryWheel()
        self._occupancy = Occupancy()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, channel: str, key: str, now: float) -> StreamPosition | None:
        """Returns the position of the first publish with the key, None when there is none or it expired."""
        stored = self._results.get(_identity(channel, key))
        if stored is None or stored.expires_at <= now:
            return None
        return stored.position

    def put(self, channel: str, key: str, position: StreamPosition, now: float, ttl_seconds: float) -> None:
        """Keeps the position of a publish for a time."""
        if ttl_seconds <= 0:
            return
        identity = _identity(channel, key)
        self._results[identity] = _StoredResult(position, now + ttl_seconds)
        self._wheel.schedule(identity, now + ttl_seconds, now)

    def items(self, now: float) -> Iterator[tuple[str, bytes, StreamPosition, float]]:
        """Yields all results: what they are kept by (text, or else bytes), position, seconds left."""
        for identity, stored in self._results.items():
            text, digest = (identity, b"") if isinstance(identity, str) else ("", identity)
            yield text, digest, stored.position, stored.expires_at - now

    def restore(self, identity: str | bytes, position: StreamPosition, now: float, seconds: float) -> None:
        """Takes up what items() gave, for the seconds that are left."""
        self._results[identity] = _StoredResult(position, now + seconds)
        self._wheel.schedule(identity, now + seconds, now)

    def sweep(self, budget: int, now: float) -> int:
        """Frees expired results; returns what is left of the budget."""
        results, wheel = self._results, self._wheel
        self._occupancy.note(len(results))
        while budget > 0:
            identity = wheel.pop(now)
            if identity is None:
                break
            budget -= 1
            stored = results.get(identity)
            # A key that was used again after it expired is in the wheel once more, for its later deadline.
            if stored is not None and stored.expires_at <= now:
                del results[identity]
        if self._occupancy.is_sparse(len(results)):
            self._results = dict(results)
        return budget


def _identity(channel: str, key: str) -> str | bytes:
    # The length keeps "a" + "bc" apart from "ab" + "c".
    identity = f"{len(channel)}:{channel}{key}"
    if len(identity) <= _LONGEST_KEY:
        return identity
    return hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
