"""Written frames, close payloads, the opening handshake and the negotiation of compression."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.protocol.websocket import (
    BINARY,
    TEXT,
    DeflateError,
    Deflater,
    MessageTooBig,
    accept,
    binary_frame,
    check_close,
    choose_subprotocol,
    close_frame,
    close_payload,
    compressed_frame,
    inflate,
    negotiate,
    ping_frame,
    pong_frame,
    refuse,
    text_frame,
)


def test_frames_as_the_rfc_shows_them() -> None:
    assert text_frame(b"Hello").hex() == "810548656c6c6f"
    assert ping_frame(b"Hello").hex() == "890548656c6c6f"
    assert pong_frame(b"Hello").hex() == "8a0548656c6c6f"
    assert binary_frame(bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert binary_frame(bytes(65536)) == bytes.fromhex("827f0000000000010000") + bytes(65536)
    assert close_frame(3001, "shutdown") == b"\x88\x0a\x0b\xb9shutdown"
    assert close_frame(0) == b"\x88\x00"


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths_take_as_few_bytes_as_possible(size: int) -> None:
    extra = 0 if size < 126 else 2 if size < 65536 else 8
    for first, frame in (
        (0x81, text_frame(b"a" * size)),
        (0x82, binary_frame(b"a" * size)),
        (0xC1, compressed_frame(TEXT, b"a" * size)),
        (0xC2, compressed_frame(BINARY, b"a" * size)),
    ):
        assert frame[0] == first
        assert len(frame) == size + 2 + extra


def test_a_long_reason_is_cut_at_a_character() -> None:
    payload = close_payload(4000, "ä" * 100)
    assert len(payload) == 2 + 122
    assert check_close(payload) == 0


def test_compressed_messages_do_not_depend_on_each_other() -> None:
    deflater = Deflater(6)
    first, second = deflater.deflate(b"the same text"), deflater.deflate(b"the same text")
    assert first == second
    # RFC 7692, section 7.2.3.1.
    assert inflate(bytes.fromhex("f248cdc9c90700"), 100) == b"Hello"


@given(st.lists(st.binary(max_size=2000), max_size=5), st.sampled_from([-2, -1, 0, 1, 9, 12]), st.integers(9, 15))
def test_any_message_comes_back(messages: list[bytes], level: int, window_bits: int) -> None:
    deflater = Deflater(level, window_bits)
    for message in messages:
        deflated = deflater.deflate(message)
        assert inflate(deflated, 2000) == message
        # The client's window is no larger than what it asked for.
        assert zlib.decompressobj(-window_bits).decompress(deflated + b"\0\0\xff\xff") == message


@given(st.binary(max_size=300), st.integers(1, 50))
def test_inflating_anything_is_bounded(payload: bytes, limit: int) -> None:
    try:
        assert len(inflate(payload, limit)) <= limit
    except (DeflateError, MessageTooBig):
        pass


def test_the_limit_of_inflating_is_exact() -> None:
    payload = Deflater(9).deflate(bytes(1000))
    assert inflate(payload, 1000) == bytes(1000)
    with pytest.raises(MessageTooBig):
        inflate(payload, 999)


PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", (PLAIN, 15)),
        ("permessage-deflate; client_max_window_bits", (PLAIN, 15)),
        ("permessage-deflate; client_max_window_bits=10", (PLAIN, 15)),
        ('Permessage-Deflate;server_max_window_bits="12"', (f"{PLAIN}; server_max_window_bits=12", 12)),
        ("permessage-deflate; server_max_window_bits=15", (f"{PLAIN}; server_max_window_bits=15", 15)),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", (PLAIN, 15)),
        ("x-webkit-deflate-frame, permessage-deflate; client_no_context_takeover", (PLAIN, 15)),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; unheard_of", None),
        ("", None),
        ("," * 100000, None),
    ],
)
def test_offers_of_compression(offer: str, answer: tuple[str, int] | None) -> None:
    assert negotiate(offer) == answer


@given(st.text())
def test_any_extension_header_has_an_answer(header: str) -> None:
    negotiate(header)
    negotiate("permessage-deflate;" + header)


def test_the_proof_of_the_rfc() -> None:
    response = accept("dGhlIHNhbXBsZSBub25jZQ==", "centrifuge-json")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response
    assert b"\r\nSec-WebSocket-Protocol: centrifuge-json\r\n" in response
    assert response.endswith(b"\r\n\r\n")


GOOD = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


@pytest.mark.parametrize(
    ("method", "changes", "status"),
    [
        ("GET", {}, None),
        ("GET", {"upgrade": "WebSocket", "connection": "upgrade"}, None),
        ("POST", {}, 405),
        ("GET", {"connection": "close"}, 400),
        ("GET", {"connection": "noupgrade"}, 400),
        ("GET", {"upgrade": "h2c"}, 400),
        ("GET", {"upgrade": ""}, 400),
        ("GET", {"sec-websocket-key": ""}, 400),
        ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ!="}, 400),
        ("GET", {"sec-websocket-key": "ä" * 24}, 400),
        ("GET", {"sec-websocket-version": "8"}, 426),
        ("GET", {"sec-websocket-version": ""}, 426),
    ],
)
def test_opening_handshakes(method: str, changes: dict[str, str], status: int | None) -> None:
    refusal = refuse(method, GOOD | changes)
    assert (refusal and refusal[0]) == status


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("centrifuge-protobuf", "centrifuge-protobuf"),
        ("other, centrifuge-json , centrifuge-protobuf", "centrifuge-json"),
        ("other", ""),
        ("", ""),
    ],
)
def test_subprotocols(header: str, chosen: str) -> None:
    assert choose_subprotocol(header, ("centrifuge-json", "centrifuge-protobuf")) == chosen
