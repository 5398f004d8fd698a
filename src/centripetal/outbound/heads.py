"""Heads of requests, as bytes: what all calls to a target have in common is encoded once."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from yarl import URL

_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_has_control_character = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

_OF_THE_BODY = ("content-length", "transfer-encoding")
"""Follow from the body; nobody may say something else."""


class Heads:
    """Makes the heads of requests to one URL; its user and password become a header (Basic)."""

    __slots__ = ("_common", "_common_lines", "_rest_of_first_line")

    def __init__(self, url: URL, headers: Mapping[str, str]) -> None:
        """Takes what every request says besides `Host`.

        Raises:
            ValueError: a header cannot be sent.
        """
        self._rest_of_first_line = f" {url.raw_path_qs} HTTP/1.1\r\n".encode()
        said = {"Host": url.host_port_subcomponent or ""}
        if url.user or url.password:
            credentials = f"{url.user or ''}:{url.password or ''}".encode()
            said["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        self._common_lines = _lines(said) | _lines(headers)
        self._common = b"".join(self._common_lines.values())

    def of(self, method: str, own: Mapping[str, str] | None, size: int | None) -> bytes:
        """Returns a head with its empty line.

        Args:
            method: `GET` or `POST`.
            own: headers of this request; they replace common ones, also in another case.
            size: of the body, in bytes; None for a request without one.

        Raises:
            ValueError: a header cannot be sent.
        """
        common = self._common
        if own:
            lines = _lines(own)
            if not self._common_lines.keys().isdisjoint(lines):
                lines = self._common_lines | lines
                common = b""
            common += b"".join(lines.values())
        end = b"\r\n" if size is None else b"Content-Length: %d\r\n\r\n" % size
        return method.encode() + self._rest_of_first_line + common + end


def _lines(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Returns the line of each header by its name in lower case."""
    lines: dict[str, bytes] = {}
    for name, value in headers.items():
        if not _is_name(name) or _has_control_character(value):
            raise ValueError("a header has a character that it must not have")
        lowered = name.lower()
        if lowered not in _OF_THE_BODY:
            lines[lowered] = f"{name}: {value}\r\n".encode()
    return lines
