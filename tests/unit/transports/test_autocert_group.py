"""Certificates by ACME for several processes at one port: each process is an Autocert, with one directory in common."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from test_autocert import BEGIN, DAY, FakeAuthority, play, serial, shown

from centripetal.testing import ManualClock
from centripetal.transports.autocert import autocert as module
from centripetal.transports.autocert.attempts import FILE, Attempts
from centripetal.transports.autocert.authority import AuthorityError, Proof
from centripetal.transports.autocert.autocert import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Autocert
from centripetal.transports.autocert.cache import ACCOUNT_KEY, PROOF, PROOF_SECONDS, CertificateCache
from centripetal.transports.autocert.proofs import ALPN_PROTOCOL
from centripetal.transports.autocert.turn import LOCK, Turn
from centripetal.transports.settings import AutocertSettings

ASKED = "one.test"


class StrictAuthority(FakeAuthority):
    """Notes when it was asked, and whether several processes order at once."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.orders: list[tuple[str, float, bool]] = []
        self.overlapped = False
        self._busy = threading.Lock()

    def issue(self, host: str, key: ec.EllipticCurvePrivateKey, kind: str, show: Callable[[Proof], None]) -> bytes:
        if not self._busy.acquire(blocking=False):
            self.overlapped = True
            raise AuthorityError("busy")
        try:
            self.orders.append((host, self.clock.time() - BEGIN, self.failure is None))
            return super().issue(host, key, kind, show)
        finally:
            self._busy.release()


class Group:
    """Processes of one server."""

    def __init__(self, folder: Path, count: int, *hosts: str, **options: Any) -> None:
        self.folder = folder
        self.clock = ManualClock(time=BEGIN)
        self.authority = StrictAuthority(self.clock)
        self.settings = AutocertSettings(enabled=True, host_whitelist=hosts, **options)
        self.members = [self.start() for _ in range(count)]

    def start(self, jitter: float = 0.0, *, is_successor: bool = False) -> Autocert:
        """Starts a process; one of another server knows the `cache_dir` only."""
        member = Autocert(
            self.settings,
            self.clock,
            "https://nowhere.test",
            group="" if is_successor else str(self.folder),
            shares_port=True,
            jitter=lambda: jitter,
        )
        member._authority = self.authority  # type: ignore[assignment]
        return member

    async def pass_time(self, seconds: float = 0.0, *, first: int = 0) -> None:
        """Lets time pass, and then some seconds in which everybody does what is due."""
        self.clock.advance(seconds)
        order = self.members[first:] + self.members[:first]
        for _ in range(4):
            for member in order:
                member.every_second()
            await asyncio.gather(*(member._work for member in order if member._work is not None))
            self.clock.advance(1.0)

    def ask(self, host: str = ASKED) -> list[int]:
        """Has a client come to each process; returns the numbers of the certificates that they show."""
        return [serial(member.context, host) for member in self.members]

    def times(self) -> list[float]:
        """Returns when certificates were ordered."""
        return [time for _, time, _ in self.authority.orders]


@pytest.fixture(params=["group", "cache_dir"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Options of a group with a directory for certificates, or without."""
    return {"cache_dir": str(tmp_path / "cache")} if request.param == "cache_dir" else {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The group's own directory."""
    folder = tmp_path / "group"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("listed", [True, False])
def test_one_orders_and_all_have_it(listed: bool, folder: Path, options: dict[str, Any]) -> None:
    group = Group(folder, 3, *([ASKED] if listed else []), **options)

    async def scene() -> None:
        assert group.ask() == [0, 0, 0]
        await group.pass_time()
        assert group.ask() == [1, 1, 1]
        group.members.append(group.start())
        assert group.ask() == [1, 1, 1, 1]
        await group.pass_time(59 * DAY)
        assert len(group.authority.orders) == 1
        await group.pass_time(1 * DAY, first=1)
        assert group.ask() == [2, 2, 2, 2]
        await group.pass_time(DAY, first=2)

    logs = play(scene)
    assert [host for host, _, _ in group.authority.orders] == [ASKED, ASKED]
    assert [entry["event"] for entry in logs] == ["certificate_issued"] * 2
    assert not group.authority.overlapped


def test_pauses_after_failures_hold_for_all(folder: Path) -> None:
    group = Group(folder, 3, ASKED)
    group.authority.failure = AuthorityError("no")

    async def scene() -> None:
        await group.pass_time()
        for number, pause in enumerate((120, 240, 480)):
            group.members[number] = group.start()  # one that was started anew knows of them, too
            await group.pass_time(pause - 10.0, first=number)
            assert len(group.authority.orders) == number + 1
            await group.pass_time(10.0, first=number)
            assert len(group.authority.orders) == number + 2

    logs = play(scene)
    assert [entry["pause_seconds"] for entry in logs] == [120, 240, 480, 960]


def test_a_host_that_fails_is_forgotten_by_all(folder: Path) -> None:
    group = Group(folder, 3)
    group.authority.failure = AuthorityError("not yours")

    async def scene() -> None:
        group.ask("stranger.test")
        for pause in (0, 120, 240, 480, 480):
            await group.pass_time(pause, first=pause % 7 % 3)
        assert len(group.authority.orders) == 3
        assert [member._hosts for member in group.members] == [{}, {}, {}]

    play(scene)
    attempts = Attempts(str(folder))
    attempts.read()
    assert list(attempts) == []


def test_the_bound_of_unlisted_hosts_holds_for_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNLISTED_HOSTS", 3)
    group = Group(folder, 2, server_name="own.test")

    async def scene() -> None:
        for number, member in enumerate(group.members):
            for host in ("a", "b", "c"):
                serial(member.context, f"{host}{number}.test")
        for _ in range(6):
            await group.pass_time()

    play(scene)
    hosts = [host for host, _, _ in group.authority.orders]
    assert len(hosts) == len(set(hosts)) == 4 and "own.test" in hosts


def test_another_goes_on_when_one_dies_with_an_order(folder: Path) -> None:
    group = Group(folder, 2, ASKED)
    dying, other = group.members
    released = threading.Event()

    async def die_ordering(member: Autocert, released: threading.Event) -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang(*_arguments: Any) -> bytes:
            loop.call_soon_threadsafe(begun.set)
            released.wait(10)
            raise AuthorityError("it died")

        member._authority.issue = hang  # type: ignore[method-assign]
        member.every_second()
        await begun.wait()

    async def scene() -> None:
        issue = group.authority.issue
        await die_ordering(dying, released)
        group.authority.issue = issue  # type: ignore[method-assign]
        group.members = [other]
        await group.pass_time()
        assert group.authority.orders == []  # it is not its turn
        assert dying._work is not None
        dying._work.cancel()
        dying._turn.leave()  # as the kernel does
        await group.pass_time()
        assert len(group.authority.orders) == 1 and group.ask() == [1]
        released.set()

    play(scene)


def test_whoever_dies_again_and_again_is_not_followed_at_once(folder: Path) -> None:
    group = Group(folder, 1, ASKED)
    (member,) = group.members
    host = member._hosts[ASKED]

    def die() -> bool:
        """Begins to order and dies, if it is time for that; another process begins in its place."""
        member = group.members[0]
        begun = member._may_order(ASKED, member._hosts[ASKED])
        member._turn.leave()
        group.members = [group.start()]
        return begun

    begun = []
    for _ in range(600):
        if die():
            begun.append(group.clock.time() - BEGIN)
        group.clock.advance(1.0)
    assert begun == [0.0, 1.0, 121.0, 361.0]
    assert host.failures == 0


def test_any_process_shows_the_proof_to_authorities_only(folder: Path, options: dict[str, Any]) -> None:
    group = Group(folder, 2, ASKED, **options)
    other = group.members[1]
    seen: list[Any] = []

    def look() -> None:
        seen.extend(shown(member.context, ASKED, ALPN_PROTOCOL) for member in group.members)
        seen.extend(serial(member.context, ASKED) for member in group.members)
        seen.append(shown(other.context, "two.test", ALPN_PROTOCOL))

    async def scene() -> None:
        await group.pass_time()
        group.authority.meanwhile = look
        await group.pass_time(61 * DAY)
        assert group.ask() == [2, 2]
        assert [member.context._msg_callback for member in group.members] == [None, None]  # type: ignore[attr-defined]

    play(scene)
    first, second, *others = seen
    assert first.extensions.get_extension_for_oid(module.x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")) == (
        second.extensions.get_extension_for_oid(module.x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    )
    assert others == [1, 1, None]
    assert not list(Path(folder).rglob(PROOF))


def test_a_successor_answers_for_its_predecessor_and_takes_its_turn(folder: Path, tmp_path: Path) -> None:
    group = Group(folder, 1, ASKED, cache_dir=str(tmp_path / "cache"))
    group.members.append(group.start(is_successor=True))
    successor = group.members[1]
    seen: list[Any] = []

    def look() -> None:
        seen.append(shown(successor.context, ASKED, ALPN_PROTOCOL) is not None)
        seen.append(successor._turn.take())

    group.authority.meanwhile = look

    async def scene() -> None:
        await group.pass_time()
        assert group.ask() == [1, 1]

    play(scene)
    assert seen == [True, False] and len(group.authority.orders) == 1


def test_a_proof_that_a_dead_process_left_is_not_looked_at_for_ever(folder: Path) -> None:
    group = Group(folder, 1, ASKED)
    (member,) = group.members
    member._cache.keep_proof(ASKED, "token.thumb")
    for age, expected in ((PROOF_SECONDS - 1, True), (PROOF_SECONDS, False)):
        os.utime(folder / PROOF, (BEGIN - age, BEGIN - age))
        group.ask()
        assert (member.context._msg_callback is not None) is expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1,2]", b'["one.test"]', b'["two.test","x"]', b"\xff"])
def test_a_proof_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / PROOF).write_bytes(content)
    assert CertificateCache(str(tmp_path)).proof(ASKED) == ""


def test_any_process_answers_by_http(folder: Path, options: dict[str, Any]) -> None:
    group = Group(folder, 2, ASKED, http=True, **options)
    seen: list[bytes] = []
    group.authority.meanwhile = lambda: seen.extend(member._find_answer("token") for member in group.members)
    play(group.pass_time)
    assert seen == [b"token.thumb", b"token.thumb"]
    assert [member._find_answer("token") for member in group.members] == [b"", b""]


def test_a_certificate_that_cannot_be_kept_is_ordered_by_each_but_not_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(CertificateCache, "keep_certificates", refuse)
    group = Group(folder, 3, ASKED)

    async def scene() -> None:
        for pause in (0, 120, 240, 480, 960):
            await group.pass_time(pause)
        assert group.ask() == [1, 2, 3]

    play(scene)
    first, second, third = group.times()
    assert second - first >= FIRST_PAUSE_SECONDS and third - second >= 2 * FIRST_PAUSE_SECONDS


def test_a_certificate_that_seems_due_at_once_is_not_ordered_by_each(folder: Path) -> None:
    group = Group(folder, 3, ASKED)
    group.authority.days = 1 / 86400  # an authority with a clock of its own

    async def scene() -> None:
        for _ in range(3):
            await group.pass_time(60)

    play(scene)
    assert len(group.authority.orders) == 1


def test_one_that_stops_begins_nothing(folder: Path) -> None:
    group = Group(folder, 1, ASKED)
    group.members[0].stop_accepting()
    play(group.pass_time)
    assert group.authority.orders == []


def test_what_one_renews_the_others_show_before_it_is_due_for_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"{number}.test" for number in range(5)]
    group = Group(folder, 1, *hosts)
    monkeypatch.setattr(module, "LOOKS_AT_ONCE", 2)

    async def scene() -> None:
        for _ in range(2):
            await group.pass_time()
        group.members.append(group.start(jitter=1.0))
        for seconds in (59.8 * DAY, 0, 0):
            await group.pass_time(seconds)
        assert len(group.authority.orders) == 10
        for host in hosts:
            ours, others = group.ask(host)
            assert ours == others > 5

    play(scene)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"one.test":{"due":"x"}}', b"\x00"])
def test_attempts_that_make_no_sense_are_ignored(content: bytes, folder: Path) -> None:
    (folder / FILE).write_bytes(content)
    group = Group(folder, 1, ASKED)
    events = [entry["event"] for entry in play(group.pass_time)]
    assert events == ["acme_attempts_ignored", "certificate_issued"]


def test_attempts_that_cannot_be_written_hold_for_one_process(tmp_path: Path) -> None:
    attempts = Attempts(str(tmp_path / "gone"))
    with capture_logs() as logs:
        attempts.note(ASKED, 1, 2.0)
    attempt = attempts.get(ASKED)
    assert attempt is not None and (attempt.failures, attempt.due) == (1, 2.0)
    assert [entry["event"] for entry in logs] == ["acme_attempts_not_kept"]


def test_processes_that_start_at_once_have_one_account(tmp_path: Path) -> None:
    first = CertificateCache(str(tmp_path)).account_key()
    second = CertificateCache(str(tmp_path))._new_account_key()
    assert first.private_numbers() == second.private_numbers()
    (tmp_path / ACCOUNT_KEY).write_text("nonsense")
    third = CertificateCache(str(tmp_path)).account_key()
    assert CertificateCache(str(tmp_path)).account_key().private_numbers() == third.private_numbers()
    assert {path.name for path in tmp_path.iterdir()} == {ACCOUNT_KEY}


def test_without_links_the_account_is_kept_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    first = CertificateCache(str(tmp_path)).account_key()
    assert CertificateCache(str(tmp_path))._new_account_key().private_numbers() == first.private_numbers()


# Turns


def test_turns(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    a, b, c = (str(tmp_path / name) for name in ("a", "b", "c"))
    first, second, third = Turn(a, b), Turn(b, c), Turn(c)
    assert first.take() and not second.take() and third.take()
    assert (first.is_ours, second.is_ours) == (True, False)
    first.leave()
    assert not second.take()
    assert first.take()  # what the second had of it, it gave back
    first.leave()
    third.leave()
    assert second.take()
    second.leave()
    assert Turn("", "").take()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the turn."""
    program = (
        "import sys; from centripetal.transports.autocert.turn import Turn;"
        f"turn = Turn({str(tmp_path)!r}); turn.take(); print('taken', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"taken\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.close()


def test_the_turn_of_a_process_that_is_killed_is_free(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    turn = Turn(str(tmp_path))
    assert not turn.take()
    holder.kill()
    holder.wait()
    assert turn.take()
    turn.leave()


def test_a_directory_where_nothing_can_be_locked(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with capture_logs() as logs:
        turn = Turn(str(tmp_path))
        assert turn.take()
        turn.leave()
        assert turn.take()
    assert [entry["event"] for entry in logs] == ["acme_lock_unusable"]


# Whatever happens

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("pass", "pass", "fail", "heal", "restart")),
        st.sampled_from((0.0, 5.0, 130.0, 1000.0, 7 * 3600.0, 31 * DAY)),
        st.integers(0, 2),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_whatever_happens_one_orders_in_time_and_not_too_often(
    steps: list[tuple[str, float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    group = Group(tmp_path_factory.mktemp("group"), 3, ASKED)

    async def scene() -> None:
        for what, seconds, number in steps:
            if what in ("fail", "heal"):
                group.authority.failure = AuthorityError("no") if what == "fail" else None
            elif what == "restart":
                group.members[number] = group.start()
            await group.pass_time(seconds, first=number)
        group.authority.failure = None
        await group.pass_time(LONGEST_PAUSE_SECONDS)
        numbers = group.ask()
        assert len(set(numbers)) == 1 and numbers[0]

    play(scene)
    assert not group.authority.overlapped
    failures = 0
    for (_, before, was_ok), (_, after, _) in zip(group.authority.orders, group.authority.orders[1:], strict=False):
        failures = 0 if was_ok else failures + 1
        pause = 60 * DAY if was_ok else min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
        assert after - before >= pause - 1
