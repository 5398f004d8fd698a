"""The incremental parser: golden bytes at every split, violations, limits, and whatever else may come in."""

from __future__ import annotations

import zlib

import pytest
from client_frames import MASK, client_frame, cut, events_of
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    VIOLATION,
    Deflater,
    MessageLimits,
    MessageParser,
    unmask,
    whole_message,
)

# RFC 6455, section 5.7: a masked "Hello", an unmasked one being forbidden for clients.
HELLO = bytes.fromhex("818537fa213d7f9f4d5158")

CONVERSATION = b"".join(
    (
        HELLO,
        client_frame(TEXT, "Kä".encode()[:2], fin=False),
        client_frame(PING, b"between"),
        client_frame(0, "Kä".encode()[2:], fin=False),
        client_frame(0, b"", fin=False),
        client_frame(0, b"se"),
        client_frame(PONG),
        client_frame(BINARY, bytes(range(256))),
        client_frame(BINARY),
        client_frame(CLOSE, b"\x03\xe8bye"),
    )
)
CONVERSATION_EVENTS = [
    (TEXT, b"Hello"),
    (PING, b"between"),
    (TEXT, "Käse".encode()),
    (PONG, b""),
    (BINARY, bytes(range(256))),
    (BINARY, b""),
    (CLOSE, b"\x03\xe8bye"),
]


@pytest.mark.parametrize("at", range(len(CONVERSATION) + 1))
def test_golden_conversation_split_anywhere(at: int) -> None:
    assert events_of([CONVERSATION[:at], CONVERSATION[at:]]) == CONVERSATION_EVENTS


def test_golden_conversation_byte_by_byte() -> None:
    assert events_of([bytes((byte,)) for byte in CONVERSATION]) == CONVERSATION_EVENTS


def test_common_frames_are_read_in_one_step() -> None:
    assert whole_message(HELLO, 0, 65536) == b"Hello"
    assert whole_message(b"?" + HELLO, 1, 65536) == b"Hello"
    for size in (0, 1, 125, 126, 1000, 65535):
        assert whole_message(client_frame(BINARY, b"\xff" * size), 0, 65536) == b"\xff" * size


@pytest.mark.parametrize(
    "frame",
    [
        HELLO[:-1],
        HELLO[:3],
        client_frame(TEXT, b"\xff"),
        client_frame(TEXT, b"x", rsv=4),
        client_frame(TEXT, b"x", fin=False),
        client_frame(TEXT, b"x", mask=None),
        client_frame(PING, b"x"),
        client_frame(BINARY, bytes(70000)),
        client_frame(BINARY, bytes(200)),  # above the limit below
        b"\x82\xfe\x00\x05" + MASK + bytes(5),  # a length that needs no extension
    ],
)
def test_everything_else_is_left_to_the_parser(frame: bytes) -> None:
    assert whole_message(frame, 0, 199) is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(TEXT, b"x", mask=None), 1002),
        (client_frame(TEXT, b"x", rsv=4), 1002),
        (client_frame(TEXT, b"x", rsv=2), 1002),
        (client_frame(TEXT, b"x", rsv=1), 1002),
        (client_frame(PING, b"x", rsv=4), 1002),
        (client_frame(3, b"x"), 1002),
        (client_frame(7, b"x"), 1002),
        (client_frame(11, b"x"), 1002),
        (client_frame(15, b"x"), 1002),
        (client_frame(PING, b"x", fin=False), 1002),
        (client_frame(CLOSE, bytes(126)), 1002),
        (client_frame(0, b"x"), 1002),
        (client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"x"), 1002),
        (b"\x82\xfe\x00\x05", 1002),
        (b"\x82\xff" + (65535).to_bytes(8, "big"), 1002),
        (b"\x82\xff" + (1 << 63 | 1).to_bytes(8, "big"), 1002),
        (client_frame(CLOSE, b"\x03"), 1002),
        (client_frame(CLOSE, b"\x03\xec"), 1002),
        (client_frame(CLOSE, b"\x00\x00"), 1002),
        (client_frame(CLOSE, (2999).to_bytes(2, "big")), 1002),
        (client_frame(CLOSE, (5000).to_bytes(2, "big")), 1002),
        (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (client_frame(TEXT, b"\xc3\x28"), 1007),
        (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
        (client_frame(TEXT, b"\xc3"), 1007),
        (b"\x82\xfe" + (60001).to_bytes(2, "big"), 1009),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), 1009),
        (client_frame(BINARY, bytes(60000), fin=False) + client_frame(0, b"x"), 1009),
        (client_frame(BINARY, fin=False) + client_frame(0, fin=False) * 10, 1009),
    ],
)
def test_violations_name_their_code_and_end_everything(data: bytes, code: int) -> None:
    limits = MessageLimits(60000, 600000, fragments=10)
    for pieces in (
        [data],
        [data[:1], data[1:]],
        [bytes((byte,)) for byte in data[-200:]] if len(data) < 200 else [data],
    ):
        *before, (kind, payload) = events_of([*pieces, HELLO], limits=limits)
        assert before == []
        assert kind == VIOLATION
        assert int.from_bytes(payload[:2], "big") == code


def test_bad_text_fails_at_its_first_bad_byte() -> None:
    frame = client_frame(TEXT, b"ok\xff" + bytes(100))
    assert events_of([frame[:8]]) == []
    ((kind, _payload),) = events_of([frame[:9]])
    assert kind == VIOLATION


def test_size_is_checked_before_the_payload_comes() -> None:
    ((kind, payload),) = events_of([b"\x81\xfe\xff\xff"], limits=MessageLimits(1000, 10000))
    assert (kind, payload) == (VIOLATION, b"\x03\xf1")


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_close_codes_that_clients_may_send(code: int) -> None:
    payload = code.to_bytes(2, "big")
    assert events_of([client_frame(CLOSE, payload)]) == [(CLOSE, payload)]


def test_compressed_messages_fragmented_and_mixed() -> None:
    deflated = Deflater(6).deflate(b"compressed " * 20)
    data = b"".join(
        (
            client_frame(TEXT, deflated[:5], fin=False, rsv=4),
            client_frame(PING),
            client_frame(0, deflated[5:]),
            client_frame(TEXT, b"plain"),
            client_frame(BINARY, Deflater(1).deflate(b""), rsv=4),
            client_frame(BINARY, b"", rsv=4),
        )
    )
    expected = [(PING, b""), (TEXT, b"compressed " * 20), (TEXT, b"plain"), (BINARY, b""), (BINARY, b"")]
    for at in range(len(data)):
        assert events_of([data[:at], data[at:]], compression=True) == expected


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xff\xff\xff", 1007),
        (Deflater(1).deflate(b"\xff\xfe"), 1007),
        (Deflater(9).deflate(bytes(10_000_000)), 1009),
        (b"\x03\x00" * 2000, 1007),  # thousands of ended streams
    ],
)
def test_bad_compressed_text(payload: bytes, code: int) -> None:
    ((kind, reason),) = events_of([client_frame(TEXT, payload, rsv=4)], compression=True)
    assert (kind, int.from_bytes(reason[:2], "big")) == (VIOLATION, code)


def test_a_stream_that_ends_within_its_message() -> None:
    final = zlib.compressobj(6, zlib.DEFLATED, -15)
    payload = final.compress(b"Hello") + final.flush(zlib.Z_FINISH) + b"\0"
    assert events_of([client_frame(TEXT, payload, rsv=4)], compression=True) == [(TEXT, b"Hello")]


def test_compressed_continuation_is_a_violation() -> None:
    data = client_frame(TEXT, b"x", fin=False) + client_frame(0, b"x", rsv=4)
    ((kind, _),) = events_of([data], compression=True)
    assert kind == VIOLATION


def test_a_parser_between_messages_gives_its_bytes_back() -> None:
    parser = MessageParser(MessageLimits())
    parser.feed(client_frame(PING) + HELLO)
    assert parser.next_event() == (PING, b"")
    assert parser.between_messages
    assert parser.take_unread() == HELLO
    assert parser.next_event() is None


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
def test_masking_undoes_itself(payload: bytes, mask: bytes) -> None:
    masked = unmask(payload, mask)
    assert masked == bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    assert unmask(masked, mask) == payload


messages = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300).map(str.encode)),
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
)


@given(st.lists(st.tuples(messages, st.lists(st.integers(0, 300), max_size=4), st.booleans())), st.data())
def test_any_messages_in_any_fragments_at_any_split(
    conversation: list[tuple[tuple[int, bytes], list[int], bool]], data: st.DataObject
) -> None:
    stream = b""
    expected = []
    for (opcode, payload), positions, with_ping in conversation:
        fragments = cut(payload, positions)
        for index, fragment in enumerate(fragments):
            mask = data.draw(st.binary(min_size=4, max_size=4))
            stream += client_frame(0 if index else opcode, fragment, fin=index == len(fragments) - 1, mask=mask)
            if with_ping and index < len(fragments) - 1:
                stream += client_frame(PING, b"p")
                expected.append((PING, b"p"))
        expected.append((opcode, payload))
    splits = data.draw(st.lists(st.integers(0, max(len(stream), 1)), max_size=10))
    assert events_of(cut(stream, splits)) == expected


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=200)), st.booleans())
def test_random_bytes_end_in_events(pieces: list[bytes], compression: bool) -> None:
    events = events_of(pieces, limits=MessageLimits(100, 1000), compression=compression)
    kinds = [kind for kind, _ in events]
    assert set(kinds) <= {TEXT, BINARY, PING, PONG, CLOSE, VIOLATION}
    assert VIOLATION not in kinds[:-1]
    assert all(len(payload) <= 1000 for _, payload in events)


@settings(max_examples=300)
@given(
    st.lists(
        st.builds(
            client_frame,
            st.integers(0, 15),
            st.binary(max_size=130),
            fin=st.booleans(),
            rsv=st.sampled_from([0, 0, 4, 1]),
        )
    )
)
def test_the_common_case_agrees_with_the_parser(frames: list[bytes]) -> None:
    for frame in frames:
        payload = whole_message(frame, 0, 100)
        if payload is not None:
            assert events_of([frame], limits=MessageLimits(100, 1000)) == [(frame[0] & 0x0F, payload)]
