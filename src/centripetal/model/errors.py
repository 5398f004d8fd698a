"""Codes that clients and API callers meet: errors, disconnects, unsubscribes."""

from __future__ import annotations


class ClientError(Exception):
    """An error reply to one command (wire name `Error`).

    Attributes:
        code: 100–399 are this server's, 400–1999 the application's.
        message: short text of the code.
        temporary: whether the client may try again.
    """

    def __init__(self, code: int, message: str, temporary: bool = False) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.temporary = temporary

    def fresh(self) -> ClientError:
        """Returns the same error as an instance of its own, for a raise that is caught later, somewhere else."""
        return ClientError(self.code, self.message, self.temporary)

    def __repr__(self) -> str:
        return f"ClientError({self.code}, {self.message!r})"


class Disconnect(Exception):
    """Ends a connection (WebSocket close code, or the push `Disconnect`).

    Attributes:
        code: 3000–3499 and 4000–4499 let the client come back, 3500–3999 and 4500–4999 do not.
        reason: at most 123 bytes of UTF-8.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    @property
    def reconnect(self) -> bool:
        """Whether the client is meant to connect again."""
        code = self.code
        return not (3500 <= code <= 3999 or 4500 <= code <= 4999)

    def fresh(self) -> Disconnect:
        """Returns the same disconnect as an instance of its own, for a raise that is caught later, somewhere else."""
        return Disconnect(self.code, self.reason)

    def __repr__(self) -> str:
        return f"Disconnect({self.code}, {self.reason!r})"


class Unsubscribe:
    """Ends one subscription (wire name `Unsubscribe`).

    Attributes:
        code: from 2500 on the client subscribes again.
        reason: short text.
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason

    def __repr__(self) -> str:
        return f"Unsubscribe({self.code}, {self.reason!r})"


def forget_traceback(error: Exception) -> None:
    """Frees what an error of the tables below refers to; for everyone who catches one.

    They are shared, so each raise would add its frames, and all that these refer to, to those of the raises before.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


ERROR_INTERNAL = ClientError(100, "internal server error", temporary=True)
ERROR_UNAUTHORIZED = ClientError(101, "unauthorized")
ERROR_UNKNOWN_CHANNEL = ClientError(102, "unknown channel")
ERROR_PERMISSION_DENIED = ClientError(103, "permission denied")
ERROR_METHOD_NOT_FOUND = ClientError(104, "method not found")
ERROR_ALREADY_SUBSCRIBED = ClientError(105, "already subscribed")
ERROR_LIMIT_EXCEEDED = ClientError(106, "limit exceeded")
ERROR_BAD_REQUEST = ClientError(107, "bad request")
ERROR_NOT_AVAILABLE = ClientError(108, "not available")
ERROR_TOKEN_EXPIRED = ClientError(109, "token expired")
ERROR_EXPIRED = ClientError(110, "expired")
ERROR_TOO_MANY_REQUESTS = ClientError(111, "too many requests", temporary=True)
ERROR_UNRECOVERABLE_POSITION = ClientError(112, "unrecoverable position")
ERROR_CONCURRENT_PAGINATION = ClientError(113, "concurrent pagination", temporary=True)

DISCONNECT_CONNECTION_CLOSED = Disconnect(3000, "connection closed")
DISCONNECT_SHUTDOWN = Disconnect(3001, "shutdown")
DISCONNECT_SERVER_ERROR = Disconnect(3004, "internal server error")
DISCONNECT_EXPIRED = Disconnect(3005, "connection expired")
DISCONNECT_SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
DISCONNECT_SLOW = Disconnect(3008, "slow")
DISCONNECT_WRITE_ERROR = Disconnect(3009, "write error")
DISCONNECT_INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
DISCONNECT_FORCE_RECONNECT = Disconnect(3011, "force reconnect")
DISCONNECT_NO_PONG = Disconnect(3012, "no pong")
DISCONNECT_TOO_MANY_REQUESTS = Disconnect(3013, "too many requests")
DISCONNECT_STATE_INVALIDATED = Disconnect(3014, "state invalidated")
DISCONNECT_INVALID_TOKEN = Disconnect(3500, "invalid token")
DISCONNECT_BAD_REQUEST = Disconnect(3501, "bad request")
DISCONNECT_STALE = Disconnect(3502, "stale")
DISCONNECT_FORCE_NO_RECONNECT = Disconnect(3503, "force disconnect")
DISCONNECT_CONNECTION_LIMIT = Disconnect(3504, "connection limit")
DISCONNECT_CHANNEL_LIMIT = Disconnect(3505, "channel limit")
DISCONNECT_INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
DISCONNECT_PERMISSION_DENIED = Disconnect(3507, "permission denied")
DISCONNECT_NOT_AVAILABLE = Disconnect(3508, "not available")
DISCONNECT_TOO_MANY_ERRORS = Disconnect(3509, "too many errors")

UNSUBSCRIBE_SERVER = Unsubscribe(2000, "server unsubscribe")
UNSUBSCRIBE_INSUFFICIENT_STATE = Unsubscribe(2500, "insufficient state")
UNSUBSCRIBE_EXPIRED = Unsubscribe(2501, "subscription expired")
UNSUBSCRIBE_STATE_INVALIDATED = Unsubscribe(2502, "state invalidated")
