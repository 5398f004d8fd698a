"""Names of hosts, as certificates and clients spell them."""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 253
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_ADDRESS = re.compile(r"[0-9.]+")


def host_name(text: str) -> str:
    """Returns a host's name in lower case and ASCII, without a dot at its end.

    Raises:
        ValueError: it is not the full name of a host: an address, a wildcard or a single label.
    """
    try:
        name = text[: 4 * MAX_NAME_LENGTH].removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name) or _ADDRESS.fullmatch(name):
        raise ValueError("is not the full name of a host, such as www.example.com")
    return name
