"""Commands of batches, and what became of them."""

from __future__ import annotations

import msgspec

from ..errors import ApiError
from ..requests import Request
from ..results import Result


class Command(msgspec.Struct, gc=False):
    """One command of a batch.

    Attributes:
        method: name in METHODS; empty when there is none to call.
        request: of the method's type.
        error: why the command cannot be called.
    """

    method: str
    request: Request | None = None
    error: ApiError | None = None


class Reply(msgspec.Struct, gc=False):
    """What became of a command.

    Attributes:
        method: under whose name a result goes.
        outcome: the result; an error goes under `error`.
    """

    method: str
    outcome: Result | ApiError
