"""HTTP responses for failed connects of unidirectional streams (`connect_code_to_http_response`)."""

from __future__ import annotations

from ..interfaces.request import HttpResponse
from ..model import ClientError, Disconnect
from .settings import HttpResponseOfCode, HttpResponseTransformSettings

_TEXT = "text/plain; charset=utf-8"


class ConnectFailures:
    """Finds the response for an error or disconnect code.

    Args:
        settings: with its list of codes.
    """

    __slots__ = ("_by_code",)

    def __init__(self, settings: HttpResponseTransformSettings) -> None:
        self._by_code: dict[int, HttpResponseOfCode] = {}
        for transform in settings.transforms:
            self._by_code.setdefault(transform.code, transform.to)

    def response(self, failure: ClientError | Disconnect | None) -> HttpResponse:
        """Returns the response for a failure, 500 for one that the list does not have."""
        wanted = self._by_code.get(failure.code) if failure is not None else None
        if wanted is None or failure is None:
            return HttpResponse(500, [("Content-Type", _TEXT)], b"Internal Server Error")
        text = wanted.body or (failure.message if isinstance(failure, ClientError) else failure.reason)
        return HttpResponse(wanted.status_code, [("Content-Type", _TEXT)], text.encode("utf-8", "replace"))
