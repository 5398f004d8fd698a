"""Formats of publication data."""

from __future__ import annotations

import pytest

from centripetal.model.errors import ERROR_BAD_REQUEST, ClientError
from centripetal.node.publication_format import check_publication_data

OBJECTS = [b"{}", b' {"a":[1,2,{"b":null}]}\n', '{"grüße":"\\u20ac €"}'.encode()]
OTHER_JSON = [b"1", b"-1.5e3", b'"text"', b"null", b"true", b"[1,2]", b" [] "]
BROKEN = [
    b" ",
    b"{",
    b'{"a":1',
    b"{} {}",
    b"{}x",
    b"nul",
    b"NaN",
    b"01",
    b"{'a':1}",
    b'{"a":1,}',
    b'"\n"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"',
    b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}',
    b"\x00",
    b"[" * 1_000_000,
    b"[" * 500_000 + b"]" * 500_000,
    b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
]
FORMATS = {
    "": (OBJECTS + OTHER_JSON + BROKEN, [b""]),
    "json": (OBJECTS + OTHER_JSON, [b"", *BROKEN]),
    "json_object": (OBJECTS, [b"", *BROKEN, *OTHER_JSON]),
    "binary": ([b"", *OBJECTS, *OTHER_JSON, *BROKEN], []),
}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(format: str) -> None:
    accepted, refused = FORMATS[format]
    for data in accepted:
        check_publication_data(data, format)
    for data in refused:
        with pytest.raises(ClientError) as caught:
            check_publication_data(data, format)
        assert caught.value is ERROR_BAD_REQUEST, data[:20]


def test_ordinary_depths_are_accepted() -> None:
    check_publication_data(b"[" * 100 + b"]" * 100, "json")
