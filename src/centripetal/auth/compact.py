"""The compact form of JSON Web Tokens (RFC 7515): three Base64url segments, taken apart strictly."""

from __future__ import annotations

import binascii

import msgspec

from ..interfaces import TokenInvalid

MAX_TOKEN_BYTES = 65_536
"""A longer token is invalid without a look at it."""

MAX_CACHED_HEADERS = 256
MAX_CACHED_HEADER_BYTES = 512

# Base64url to Base64; what only Base64 has, and padding, becomes a byte that no decoder takes.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_PADDING = (b"", b"", b"==", b"=")
_DOT = 0x2E


class Header(msgspec.Struct, frozen=True):
    """The header of a token.

    Attributes:
        alg: name of the signature algorithm, as the token says it.
        kid: id of the key; empty for none.
        crit: extensions that have to be understood; this server understands none.
    """

    alg: str
    kid: str | None = None
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class SignedToken:
    """A token taken apart; nothing in it is verified yet.

    Attributes:
        header: decoded header.
        signed: the bytes that the signature is over.
        payload: the claims' segment, still Base64url.
        signature: the signature's segment, still Base64url.
    """

    __slots__ = ("header", "payload", "signature", "signed")

    def __init__(self, header: Header, signed: bytes, payload: bytes, signature: bytes) -> None:
        self.header = header
        self.signed = signed
        self.payload = payload
        self.signature = signature


def decode_segment(segment: bytes) -> bytes:
    """Decodes Base64url without padding.

    Raises:
        TokenInvalid: it has another character, padding or an impossible length.
    """
    try:
        return binascii.a2b_base64(segment.translate(_TO_BASE64) + _PADDING[len(segment) & 3], strict_mode=True)
    except binascii.Error:
        raise TokenInvalid("token is not Base64url") from None


def encode_segment(data: bytes) -> bytes:
    """Encodes as Base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_BASE64URL).rstrip(b"=")


_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")


class HeaderReader:
    """Decodes header segments, remembering the few that practically all tokens share."""

    def __init__(self) -> None:
        self._known: dict[bytes, Header] = {}
        self._decoder = msgspec.json.Decoder(Header)

    def read(self, segment: bytes) -> Header:
        """Returns the header in a Base64url segment.

        Raises:
            TokenInvalid: it is not a JSON object with `alg`, or has `crit`.
        """
        known = self._known.get(segment)
        if known is not None:
            return known
        try:
            header = self._decoder.decode(decode_segment(segment))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise TokenInvalid("token header is malformed") from None
        if header.crit is not msgspec.UNSET:
            raise TokenInvalid("token header has a critical extension")
        if len(segment) <= MAX_CACHED_HEADER_BYTES:
            if len(self._known) >= MAX_CACHED_HEADERS:
                self._known.clear()
            self._known[segment] = header
        return header


def split_token(token: str, headers: HeaderReader) -> SignedToken:
    """Takes a token apart.

    Args:
        token: compact form; untrusted.
        headers: decodes its header.

    Raises:
        TokenInvalid: it is too long, not ASCII, has not three segments, or its header is wrong.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenInvalid("token is too long")
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError:
        raise TokenInvalid("token is not ASCII") from None
    signed, _, signature = raw.rpartition(b".")
    header, dot, payload = signed.partition(b".")
    if not dot or _DOT in payload:
        raise TokenInvalid("token has not three segments")
    return SignedToken(headers.read(header), signed, payload, signature)


def read_payload(token: str) -> bytes:
    """Returns the claims of a token as JSON text, verifying nothing.

    Raises:
        TokenInvalid: it is malformed.
    """
    return decode_segment(split_token(token, HeaderReader()).payload)
