"""Origins, connection limits, deadlines, encodings: the small parts of the WebSocket endpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centripetal.node.patterns import PatternError
from centripetal.protocol.websocket import MessageLimits, MessageParser, inflate
from centripetal.transports.admission import Admission, Bucket
from centripetal.transports.deadlines import Deadlines, Expiring
from centripetal.transports.encodings import (
    WEBSOCKET_JSON,
    WEBSOCKET_PROTOBUF,
    deflate_encoding,
    length_prefixed,
)
from centripetal.transports.origins import Origins


@pytest.mark.parametrize(
    ("patterns", "origin", "allowed"),
    [
        ([], None, True),
        ([], "", True),
        ([], "https://example.com", False),
        (["*"], "anything", True),
        (["https://example.com"], "https://EXAMPLE.com", True),
        (["https://example.com"], "https://example.com:8080", False),
        (["https://example.com"], "http://example.com", False),
        (["https://*.example.org"], "https://a.b.example.org", True),
        (["https://*.example.org"], "https://example.org", False),
        (["https://*.example.org"], "https://a.example.org.evil.test", False),
        (["*.example.com", "foo.com"], "https://two.Example.com", True),
        (["*.example.com"], "https://two.\u0435xample.com", False),
        (["file://*"], "file://", True),
        (["null"], "null", True),
        (["https://EXAMPLE.com"], "https://example.com", False),
        (["http://localhost:300?"], "http://localhost:3001", True),
        (["http://localhost:300[0-2]"], "http://localhost:3003", False),
        (["http://localhost:300[!0-2]"], "http://localhost:3003", True),
        (["http://{a,b*}.test"], "http://bcd.test", True),
        (["http://{a,b*}.test"], "http://c.test", False),
        (["a\\*b"], "a*b", True),
        (["a\\*b"], "axb", False),
        (["https://*"], "https://" + "a" * 2000, False),
    ],
)
def test_origins(patterns: list[str], origin: str | None, allowed: bool) -> None:
    assert Origins(patterns).allows(origin) is allowed


@pytest.mark.parametrize("pattern", ["[", "[]", "{a", "a\\", "[z-a]"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Origins([pattern])


def test_a_long_pattern_is_the_operators_own() -> None:
    origins = Origins(["https://{" + ",".join(f"host{number}" for number in range(300)) + "}.test"])
    assert origins.allows("https://host299.test") and not origins.allows("https://host300.test")


def test_many_stars_take_no_time() -> None:
    # A matcher that tries all ways would not come back.
    assert not Origins(["*a" * 40 + "b"]).allows("a" * 1000)


class ManualClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def test_the_connection_limit_counts_clients() -> None:
    clients = 1
    refusals: list[None] = []
    admission = Admission(
        ManualClock(), lambda: clients, connection_limit=2, count_refusal=lambda: refusals.append(None)
    )
    assert admission.admit()
    clients = 2
    assert not admission.admit()
    assert len(refusals) == 1
    admission.reconfigure(0, 0)
    assert admission.admit()


def test_the_rate_limit_is_a_bucket_that_fills_by_one_a_second() -> None:
    clock = ManualClock()
    admission = Admission(clock, lambda: 0, connection_rate_limit=3)
    assert [admission.admit() for _ in range(5)] == [True, True, True, False, False]
    clock.now += 1.5
    assert [admission.admit() for _ in range(2)] == [True, False]
    clock.now += 100
    assert [admission.admit() for _ in range(4)] == [True, True, True, False]
    admission.reconfigure(0, 3)
    assert not admission.admit(), "the same rate goes on"
    admission.reconfigure(0, 2)
    assert [admission.admit() for _ in range(3)] == [True, True, False]


def test_who_learns_first_that_there_is_no_rate_limit_lets_the_others_go_on() -> None:
    clock, values = ManualClock(), [0.0] * Bucket.SIZE
    first, second = (
        Admission(clock, lambda: 0, connection_rate_limit=3, bucket=Bucket(clock, values)) for _ in range(2)
    )
    assert first.admit()
    first.reconfigure(0, 0)
    assert [first.admit() for _ in range(10)] == [True] * 10
    assert [second.admit() for _ in range(3)] == [True, True, False]


class Item:
    def __init__(self) -> None:
        self.deadline = 0.0
        self.bucket: set[Expiring] | None = None
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1


class ManualLoop:
    """The parts of an event loop that Deadlines uses."""

    def __init__(self) -> None:
        self.now = 50.25
        self.turn = 0
        self.timers: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: object) -> object:
        self.timers.append((self.now + delay, callback))
        return callback

    def call_soon(self, callback: object) -> object:
        return self.call_later(0.0, callback)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timers and min(timer[0] for timer in self.timers) <= until:
            self.timers.sort(key=lambda timer: timer[0])
            at, callback = self.timers.pop(0)
            self.now = max(at, self.now)
            self.turn += 1
            callback()  # type: ignore[operator]
        self.now = until


def test_deadlines_expire_once_and_can_be_put_off() -> None:
    loop = ManualLoop()
    deadlines = Deadlines(loop)  # type: ignore[arg-type]
    plain, later, sooner, forgotten = (Item() for _ in range(4))
    for item in (plain, later, sooner, forgotten):
        deadlines.watch(item, 10)
    later.deadline += 20
    deadlines.watch(sooner, 3)
    deadlines.forget(forgotten)
    loop.advance(5)
    assert (plain.expired, sooner.expired) == (0, 1)
    loop.advance(7)
    assert (plain.expired, later.expired) == (1, 0)
    loop.advance(20)
    assert (later.expired, forgotten.expired) == (1, 0)
    loop.advance(3)
    assert not loop.timers
    deadlines.watch(plain, 1)
    loop.advance(3)
    assert plain.expired == 2


def test_many_deadlines_at_once_are_swept_in_slices() -> None:
    loop = ManualLoop()
    deadlines = Deadlines(loop)  # type: ignore[arg-type]
    turns: dict[int, int] = {}

    class Slow(Item):
        def expire(self) -> None:
            loop.now += 0.0001
            turns[loop.turn] = turns.get(loop.turn, 0) + 1

    for _ in range(500):
        deadlines.watch(Slow(), 1)
    loop.advance(3)
    assert sum(turns.values()) == 500
    assert max(turns.values()) <= 64


def test_the_shared_encodings() -> None:
    assert WEBSOCKET_JSON.frame(b"{}") == b"\x81\x02{}"
    assert WEBSOCKET_PROTOBUF.frame(b"ab") == b"\x82\x03\x02ab"
    assert deflate_encoding(False, 1, 0, 15) is deflate_encoding(False, 1, 0, 15)
    assert deflate_encoding(False, 1, 0, 15) is not deflate_encoding(True, 1, 0, 15)


@pytest.mark.parametrize(
    ("size", "prefix"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (1 << 21, "80808001")]
)
def test_varint_lengths(size: int, prefix: str) -> None:
    assert length_prefixed(bytes(size)).hex().startswith(prefix)
    assert len(length_prefixed(bytes(size))) == size + len(prefix) // 2


def test_deflate_encodings_compress_what_is_worth_it() -> None:
    encoding = deflate_encoding(False, 6, 100, 12)
    assert encoding.frame(b"x" * 99) == b"\x81\x63" + b"x" * 99
    frame = encoding.frame(b"x" * 200)
    assert frame[0] == 0xC1
    assert inflate(frame[2:], 200) == b"x" * 200
    protobuf = deflate_encoding(True, 6, 0, 12).frame(b"y" * 200)
    assert protobuf[0] == 0xC2
    assert inflate(protobuf[2:], 300) == b"\xc8\x01" + b"y" * 200
    incompressible = bytes(range(256))
    assert deflate_encoding(True, 6, 0, 15).frame(incompressible)[0] == 0x82


@given(st.binary(max_size=400), st.booleans())
def test_what_is_framed_can_be_read(message: bytes, compressed: bool) -> None:
    encoding = deflate_encoding(True, 1, 0, 15) if compressed else WEBSOCKET_PROTOBUF
    frame = encoding.frame(message)
    # The parser reads clients' frames: give this one a mask of zeros.
    header = 2 if frame[1] < 126 else 4
    masked = frame[:1] + bytes((frame[1] | 0x80,)) + frame[2:header] + bytes(4) + frame[header:]
    parser = MessageParser(MessageLimits(), compressed)
    parser.feed(masked)
    assert parser.next_event() == (2, length_prefixed(message))
