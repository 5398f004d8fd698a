"""Header sections of HTTP/2 and HTTP/3: from lists of fields to an HttpRequest, and from answers to lists."""

from __future__ import annotations

from collections.abc import Iterable

from ..interfaces.request import HttpRequest
from .heads import split_target

_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
_SINGULAR = frozenset({"host", "content-length"})
_BREAKS = frozenset("\r\n\0")


class BadSection(Exception):
    """A header section that is not a request; the stream has to be reset."""


def read_section(fields: Iterable[tuple[bytes, bytes]], version: str) -> HttpRequest:
    """Makes a request of its fields.

    Args:
        fields: names in lower case and values, bounded in number and size by the carrier.
        version: `2` or `3`.

    Returns:
        The request; without address, and `is_tls` as the scheme says. The authority is its header `host`.

    Raises:
        BadSection: it breaks a rule of RFC 9113, section 8.
    """
    pseudo: dict[bytes, str] = {}
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        value = raw_value.decode("latin-1")
        if raw_name[:1] == b":":
            if raw_name in pseudo or headers:
                raise BadSection(raw_name)
            pseudo[raw_name] = value
            continue
        name = raw_name.decode("latin-1")
        if name in _OF_THE_CONNECTION or not _BREAKS.isdisjoint(value):
            raise BadSection(name)
        if name in headers:
            if name in _SINGULAR:
                raise BadSection(name)
            headers[name] += ("; " if name == "cookie" else ", ") + value
        else:
            headers[name] = value
    method = pseudo.get(b":method", "")
    target = pseudo.get(b":path", "")
    protocol = pseudo.get(b":protocol", "")
    if not method or not target or b":scheme" not in pseudo or (protocol and method != "CONNECT"):
        raise BadSection("pseudo-headers")
    if pseudo.get(b":authority"):
        headers["host"] = pseudo[b":authority"]
    path, query = split_target(target)
    request = HttpRequest(method, path, query, headers, http_version=version)
    request.protocol = protocol
    return request


def header_section(status: int, date: str, headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Makes fields of an answer's head.

    Args:
        status: the status.
        date: value of `date`.
        headers: names and values; what belongs to a connection of HTTP/1.x is left out.

    Raises:
        ValueError: a header contains a line break.
    """
    fields = [(b":status", b"%d" % status), (b"date", date.encode())]
    for name, value in headers:
        lowered = name.lower()
        if lowered in _OF_THE_CONNECTION:
            continue
        if not _BREAKS.isdisjoint(lowered) or not _BREAKS.isdisjoint(value):
            raise ValueError("line break in a header")
        fields.append((lowered.encode("latin-1", "replace"), value.strip(" \t").encode("latin-1", "replace")))
    return fields


def body_length(request: HttpRequest) -> int:
    """Returns the length that the request tells of its body, 0 if it tells none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
