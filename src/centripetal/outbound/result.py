"""What comes of a call: a result, or one of few errors.

    OutboundError
    ├── TimedOut        no complete answer in time
    ├── Unreachable     no connection, no such name, a certificate that is not trusted, or the connection broke
    ├── TooLarge        headers or body beyond their bounds, before or after decompression
    ├── BadResponse     not HTTP, or a content encoding that was not asked for
    ├── Overloaded      too many calls wait for this target already
    ├── CallRefused     not made: the address is private, or URL or headers cannot be sent
    └── ClientClosed    the process is ending

A status of any value is a result, not an error; also a redirect, which is never followed. Cancelling the caller cancels
the call. Texts of errors are for the operator; they name no URL, header or body, all of which may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class HttpResult(NamedTuple):
    """A complete answer.

    Attributes:
        status: HTTP status code.
        headers: case-insensitive; of repeated ones the first.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class OutboundError(Exception):
    """A call has no answer.

    Attributes:
        kind: constant word for logs and labels of metrics.
    """

    kind = "failed"


class TimedOut(OutboundError):
    """No complete answer in time; waiting for other calls to the target counts."""

    kind = "timeout"


class Unreachable(OutboundError):
    """No connection could be made, or it broke."""

    kind = "unreachable"


class TooLarge(OutboundError):
    """Headers or body are larger than allowed."""

    kind = "too_large"


class BadResponse(OutboundError):
    """The answer is not HTTP, or not encoded as asked."""

    kind = "bad_response"


class Overloaded(OutboundError):
    """As many calls wait for the target as may."""

    kind = "overloaded"


class CallRefused(OutboundError):
    """The call was not made, because it must not or cannot be."""

    kind = "refused"


class ClientClosed(OutboundError):
    """The client is closed."""

    kind = "closed"
