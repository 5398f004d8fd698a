"""Who may call the server API over HTTP: whoever knows the key."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

MAX_QUERY_FIELDS = 100
"""A query with more fields has no key."""


class KeyCheck:
    """Checks the key of a request (`http_api.key`, `http_api.insecure`)."""

    def __init__(self, key: str, insecure: bool) -> None:
        self._key = key.encode()
        self._insecure = insecure

    def _is_key(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("latin-1", "replace"), self._key)  # one character per byte

    def is_allowed(self, headers: Mapping[str, str], query: str) -> bool:
        """Whether a request may go on.

        The header `X-API-Key` comes first. Only without it `Authorization: apikey KEY` is looked at. If that gives
        no valid key, the query parameter `api_key` is tried. An empty configured key lets nobody in.

        Args:
            headers: by lower-case name; one character per byte.
            query: what follows the question mark, undecoded.
        """
        if self._insecure:
            return True
        if not self._key:
            return False
        key = headers.get("x-api-key")
        if not key:
            key = _authorization_key(headers.get("authorization", ""))
        if key and self._is_key(key):
            return True
        return bool(query) and self._is_key(_query_key(query))


def _authorization_key(header: str) -> str:
    parts = header.split()
    return parts[1] if len(parts) == 2 and parts[0].lower() == "apikey" else ""


def _query_key(query: str) -> str:
    try:
        return parse_qs(query, encoding="latin-1", max_num_fields=MAX_QUERY_FIELDS).get("api_key", [""])[0]
    except ValueError:
        return ""
