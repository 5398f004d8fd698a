"""PEM text in options: as it is, as Base64, or as the path of a file."""

from __future__ import annotations

import base64
import binascii

MAX_PEM_BYTES = 1024 * 1024
_BEGIN = "-----BEGIN "


def read_pem(value: str) -> str:
    """Returns the PEM text that an option's value is, encodes or names.

    Raises:
        ValueError: it is none of the three.
    """
    path = pem_path(value)
    if not path:
        return value if _BEGIN in value else _decoded(value)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except (OSError, ValueError):
        raise ValueError("is neither PEM text, nor Base64 of it, nor a file that can be read") from None
    if len(content) > MAX_PEM_BYTES:
        raise ValueError(f"the file has more than {MAX_PEM_BYTES} bytes")
    text = content.decode("ascii", "replace")
    if _BEGIN not in text:
        raise ValueError("the file holds no PEM text")
    return text


def pem_path(value: str) -> str:
    """Returns the path that an option's value is, empty when it is PEM text itself or Base64 of it."""
    return "" if _BEGIN in value or _BEGIN in _decoded(value) else value


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
