"""What a QUIC port has in common with those that go on where it leaves off: how it names its connections, and its secrets.

An id of a connection begins with the tag of the process that has it, so that a datagram that reached another process, since the
client's address has changed or another process reads the port now, finds it all the same. The rest is random.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from aioquic.quic.retry import QuicRetryTokenHandler
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .quic_relay import SECRET_BYTES, TAG_BYTES

CONNECTION_ID_BYTES = TAG_BYTES + 8
RESET_TOKEN_BYTES = 16

_LEAST_RESET_BYTES = 21
_MOST_RESET_BYTES = 42


class RetryTokens(QuicRetryTokenHandler):
    """Tokens by which a newcomer proves its address to any process with the same key; see aioquic's QuicRetryTokenHandler."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)


class QuicIdentity:
    """A process at a QUIC port.

    Args:
        tag: with which ids of its connections begin; None for a random one.
        secret: of all processes at the port; None for a random one.

    Attributes:
        tag: the same.
        retry_tokens: to prove addresses with.
    """

    def __init__(self, tag: bytes | None = None, secret: bytes | None = None) -> None:
        self.tag = tag if tag is not None else os.urandom(TAG_BYTES)
        secret = secret if secret is not None else os.urandom(SECRET_BYTES)
        self.retry_tokens = RetryTokens(_derive(secret, b"retry")[:16])
        self._reset_key = _derive(secret, b"reset")

    def new_connection_id(self) -> bytes:
        """Returns an id for a connection of this process."""
        return self.tag + os.urandom(CONNECTION_ID_BYTES - TAG_BYTES)

    def reset_token(self, connection_id: bytes) -> bytes:
        """Returns what proves to a client that nobody knows its connection any more (RFC 9000 section 10.3)."""
        return _derive(self._reset_key, connection_id)[:RESET_TOKEN_BYTES]

    def reset(self, connection_id: bytes, size: int) -> bytes | None:
        """Returns the datagram that tells a client so; None if what it answers is too short.

        Args:
            connection_id: that nobody knows.
            size: of the datagram with it. The answer is shorter, lest two servers answer each other for ever.
        """
        size = min(size - 1, _MOST_RESET_BYTES)
        if size < _LEAST_RESET_BYTES:
            return None
        noise = bytearray(os.urandom(size - RESET_TOKEN_BYTES))
        noise[0] = noise[0] & 0x3F | 0x40  # looks like any other packet
        return bytes(noise) + self.reset_token(connection_id)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, purpose, hashlib.sha256)
