"""The opening handshake's server side (RFC 6455, section 4.2)."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from hashlib import sha1

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def refuse(method: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """Checks an opening handshake.

    Args:
        method: of the request.
        headers: names in lower case.

    Returns:
        None when it is in order, else the status to refuse it with (400, 405 or 426) and why.
    """
    if not _has_token(headers.get("connection", ""), "upgrade"):
        return 400, "no upgrade in the Connection header"
    if not _has_token(headers.get("upgrade", ""), "websocket"):
        return 400, "no websocket in the Upgrade header"
    if method != "GET":
        return 405, "the method is not GET"
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        return 400, "Sec-WebSocket-Key is not base64 of 16 bytes"
    if headers.get("sec-websocket-version", "") != "13":
        return 426, "Sec-WebSocket-Version is not 13"
    return None


def refuse_tunnel(protocol: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """Checks an extended CONNECT, the opening handshake of HTTP/2 and HTTP/3 (RFC 8441, RFC 9220).

    Args:
        protocol: the pseudo-header `:protocol`.
        headers: names in lower case.

    Returns:
        None when it is in order, else the status to refuse it with (400, 426 or 501) and why.
    """
    if protocol != "websocket":
        return 501, "the protocol is not websocket"
    if headers.get("sec-websocket-version", "") != "13":
        return 426, "Sec-WebSocket-Version is not 13"
    return None


def accept(key: str, subprotocol: str = "", extensions: str = "") -> bytes:
    """Builds the 101 response.

    Args:
        key: the client's `Sec-WebSocket-Key`.
        subprotocol: chosen one, empty for none.
        extensions: value for `Sec-WebSocket-Extensions`, empty for none.
    """
    proof = b2a_base64(sha1(key.encode("latin-1") + _GUID).digest(), newline=False)
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + proof
    )
    if subprotocol:
        response += b"\r\nSec-WebSocket-Protocol: " + subprotocol.encode("latin-1")
    if extensions:
        response += b"\r\nSec-WebSocket-Extensions: " + extensions.encode("latin-1")
    return response + b"\r\n\r\n"


def choose_subprotocol(header: str, supported: Sequence[str]) -> str:
    """Returns the client's first subprotocol that is supported, or nothing.

    Args:
        header: `Sec-WebSocket-Protocol`, in the client's order of preference.
        supported: ours.
    """
    for offered in header.split(","):
        name = offered.strip()
        if name in supported:
            return name
    return ""


def _has_token(header: str, token: str) -> bool:
    lowered = header.lower()
    return lowered == token or (token in lowered and token in [part.strip() for part in lowered.split(",")])


def _is_key(key: str) -> bool:
    if len(key) != 24:
        return False
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False
