"""Payloads that come as JSON or as Base64."""

from __future__ import annotations

import binascii

from msgspec import Raw


def payload(raw: Raw, base64: str | None) -> bytes | None:
    """Returns the bytes of a payload.

    Args:
        raw: JSON text; empty when absent.
        base64: counts instead of `raw` when it is not empty (`b64data`, `b64info`); padded, line breaks allowed.

    Returns:
        A copy without ties to the request's body, or None for text that is not Base64.
    """
    if not base64:
        return bytes(raw)
    try:
        return binascii.a2b_base64(base64.replace("\n", "").replace("\r", ""), strict_mode=True)
    except ValueError:
        return None
