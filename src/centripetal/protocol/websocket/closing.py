"""Close codes and the payload of close frames (RFC 6455, section 7.4)."""

from __future__ import annotations

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
INVALID_DATA = 1007
MESSAGE_TOO_BIG = 1009

MAX_REASON_BYTES = 123

_DEFINED = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


def close_payload(code: int, reason: str = "") -> bytes:
    """Builds a close frame's payload.

    Args:
        code: close code, 1000–4999.
        reason: text; what does not fit into 123 bytes of UTF-8 is cut at a character.

    Returns:
        Two bytes of code and the reason.
    """
    text = reason.encode("utf-8", "replace")
    if len(text) > MAX_REASON_BYTES:
        text = text[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + text


def check_close(payload: bytes) -> int:
    """Checks a received close frame's payload.

    Args:
        payload: in clear, at most 125 bytes.

    Returns:
        0 when it is valid, else the code to fail the connection with: 1002 for a code that must not be sent,
        1007 for a reason that is not UTF-8.
    """
    if not payload:
        return 0
    if len(payload) == 1:
        return PROTOCOL_ERROR
    code = int.from_bytes(payload[:2], "big")
    if code not in _DEFINED and not 3000 <= code <= 4999:
        return PROTOCOL_ERROR
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return INVALID_DATA
    return 0
