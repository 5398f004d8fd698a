"""Errors of the server API: a table of values. Methods return them, bindings encode them, nobody raises them."""

from __future__ import annotations

import msgspec

from ..model import ClientError


class ApiError(msgspec.Struct, frozen=True):
    """Why a method failed (wire name `Error`).

    Attributes:
        code: stable number.
        message: short text of the code.
    """

    code: int
    message: str


INTERNAL = ApiError(100, "internal server error")
UNKNOWN_CHANNEL = ApiError(102, "unknown channel")
NOT_FOUND = ApiError(104, "not found")
BAD_REQUEST = ApiError(107, "bad request")
NOT_AVAILABLE = ApiError(108, "not available")
UNRECOVERABLE_POSITION = ApiError(112, "unrecoverable position")
CONFLICT = ApiError(113, "conflict")

API_ERRORS = {
    error.code: error
    for error in (INTERNAL, UNKNOWN_CHANNEL, NOT_FOUND, BAD_REQUEST, NOT_AVAILABLE, UNRECOVERABLE_POSITION, CONFLICT)
}
"""Every error that a caller can meet, by code."""

HTTP_STATUSES = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""HTTP statuses in the error mode `transport`; any other code is 500."""


def api_error(error: ClientError) -> ApiError:
    """Returns the API's error for a client error; one that the API does not have is internal."""
    return API_ERRORS.get(error.code, INTERNAL)
