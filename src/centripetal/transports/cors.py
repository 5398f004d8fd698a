"""What pages of other origins may do with the answers of HTTP endpoints."""

from __future__ import annotations

from ..interfaces.request import HttpRequest, HttpResponse
from .origins import Origins

PREFLIGHT_SECONDS = 300
"""How long a browser may keep the answer to a preflight request."""


def cors_headers(origins: Origins, request: HttpRequest) -> list[tuple[str, str]]:
    """Returns the headers that let the page that made a request read the answer; none when it may not.

    Args:
        origins: which pages may.
        request: its `Origin` is named back, never a wildcard, since cookies are allowed.
    """
    origin = request.headers.get("origin")
    if not origin or not origins.allows(origin):
        return []
    headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
    wanted = request.headers.get("access-control-request-headers", "")
    if wanted and wanted != "null":
        headers.append(("Access-Control-Allow-Headers", wanted))
    return headers


def preflight(headers: list[tuple[str, str]]) -> HttpResponse:
    """Answers a preflight request for a path that takes POST.

    Args:
        headers: from cors_headers().
    """
    return HttpResponse(
        204,
        [
            ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
            ("Access-Control-Allow-Methods", "POST, OPTIONS"),
            *headers,
        ],
    )


def too_large(request: HttpRequest, max_body_bytes: int) -> bool:
    """Whether a request says that its body is larger than allowed."""
    length = request.headers.get("content-length", "")
    return length.isdigit() and int(length) > max_body_bytes
