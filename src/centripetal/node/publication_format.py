"""What the data of a publication must be (`publication_data_format` of a namespace)."""

from __future__ import annotations

import msgspec

from ..model.errors import ERROR_BAD_REQUEST

_DECODER = msgspec.json.Decoder(msgspec.Raw)
_BLANKS = b" \t\n\r"


def check_publication_data(data: bytes, format: str) -> None:
    """Checks the data of a publication. Values are not built, so that the check costs about a millisecond per megabyte.

    Args:
        data: the payload.
        format: `json` for one JSON value, `json_object` for a JSON object, `binary` for anything; empty for anything but
            empty data.

    Raises:
        ClientError: 107, the data is not in this format or nested too deeply for the parser.
    """
    if format in ("json", "json_object"):
        if not is_json(data) or (format == "json_object" and not data.lstrip(_BLANKS).startswith(b"{")):
            raise ERROR_BAD_REQUEST
    elif format != "binary" and not data:
        raise ERROR_BAD_REQUEST


def is_json(data: bytes) -> bool:
    """Tells whether data is one JSON value in UTF-8 with nothing after it, not nested beyond the parser's bound."""
    try:
        if not data.isascii():
            str(data, "utf-8")
        _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
