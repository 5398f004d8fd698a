"""Certificates by ACME, with an authority in memory: when they are asked for, kept, renewed and shown."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sockets import Client, get
from structlog.testing import capture_logs

from centripetal.interfaces.request import HttpRequest
from centripetal.model.certificates import Certificates
from centripetal.testing import ManualClock
from centripetal.transports.autocert import autocert as module
from centripetal.transports.autocert.authority import HTTP_01, TLS_ALPN_01, AuthorityError, Proof
from centripetal.transports.autocert.autocert import MAX_UNLISTED_HOSTS, UNLISTED_ATTEMPTS, Autocert
from centripetal.transports.autocert.cache import ACCOUNT_KEY, CertificateCache, key_as_pem
from centripetal.transports.autocert.names import host_name
from centripetal.transports.autocert.proofs import ALPN_PROTOCOL, ChallengeEndpoint
from centripetal.transports.autocert.turn import LOCK
from centripetal.transports.settings import AutocertSettings

DAY = 86400.0
BEGIN = 1_700_000_000.0


class FakeAuthority:
    """Signs whatever it is asked to, unless it is told to fail."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.issued: list[str] = []
        self.failure: Exception | None = None
        self.days = 90.0
        self.meanwhile: Callable[[], None] = lambda: None

    def sign(self, host: str, key: ec.EllipticCurvePrivateKey) -> bytes:
        begins = datetime.datetime.fromtimestamp(self.clock.time(), datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(max(len(self.issued), 1))
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=self.days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def issue(self, host: str, key: ec.EllipticCurvePrivateKey, kind: str, show: Callable[[Proof], None]) -> bytes:
        show(Proof(host, kind, "token", "token.thumb"))
        self.meanwhile()
        self.issued.append(host)
        if self.failure is not None:
            raise self.failure
        return self.sign(host, key)


class Stage:
    """An Autocert with its clock and authority."""

    def __init__(self, *hosts: str, **options: Any) -> None:
        self.clock = ManualClock(time=BEGIN)
        self.authority = FakeAuthority(self.clock)
        self.settings = AutocertSettings(enabled=True, host_whitelist=hosts, **options)
        self.autocert = self.another()

    def another(self) -> Autocert:
        """Makes a further node with the same settings."""
        autocert = Autocert(self.settings, self.clock, "https://nowhere.test", jitter=lambda: 0.0)
        autocert._authority = self.authority  # type: ignore[assignment]
        return autocert

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Lets time pass and whatever is due be done."""
        self.clock.advance(seconds)
        for _ in range(10):
            self.autocert.every_second()
            if self.autocert._work is None:
                return
            await self.autocert._work
        raise AssertionError("it does not come to rest")


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> list[Any]:
    with capture_logs() as logs:
        asyncio.run(scene())
    return logs


def shown(context: ssl.SSLContext, host: str | None, *protocols: str) -> x509.Certificate | None:
    """Shakes hands in memory; returns the certificate, None if the host is refused."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    if protocols:
        client.set_alpn_protocols(protocols)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=host)
    right = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (left, right, left, right):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
    assert left.selected_alpn_protocol() == (protocols[0] if protocols else None)
    der = left.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def serial(context: ssl.SSLContext, host: str | None) -> int:
    certificate = shown(context, host)
    return certificate.serial_number if certificate is not None else 0


@pytest.mark.parametrize(
    ("text", "name"),
    [("One.Test", "one.test"), ("a.b.test.", "a.b.test"), ("bücher.test", "xn--bcher-kva.test"), ("1.2.test", "1.2.test")],
)
def test_names(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", ".", "one", "*.one.test", "1.2.3.4", "::1", "one.test:80", "a..b", "-a.test", "a/../b.test", "a" * 64 + ".b",
     "a." * 200 + "test", "one test.test", "\udc80.test", "x" * 100_000],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="full name"):
        host_name(text)


def test_certificates_are_obtained_at_the_start_and_renewed_30_days_before_their_end() -> None:
    stage = Stage("one.test", "two.test", server_name="two.test")
    context = stage.autocert.context

    async def scene() -> None:
        assert serial(context, "one.test") == 0
        await stage.pass_time()
        assert stage.authority.issued == ["one.test", "two.test"]
        assert [serial(context, host) for host in ("one.test", "ONE.test", "two.test", None)] == [1, 1, 2, 2]
        assert serial(context, "three.test") == 0
        await stage.pass_time(60 * DAY - 1)
        assert len(stage.authority.issued) == 2
        await stage.pass_time(2)
        assert [serial(context, host) for host in ("one.test", "two.test")] == [3, 4]

    events = [entry["event"] for entry in play(scene)]
    assert events == ["certificate_issued"] * 4


def test_short_certificates_are_renewed_in_their_last_third() -> None:
    stage = Stage("one.test")
    stage.authority.days = 6

    async def scene() -> None:
        await stage.pass_time()
        await stage.pass_time(3.9 * DAY)
        assert len(stage.authority.issued) == 1
        await stage.pass_time(0.2 * DAY)
        assert len(stage.authority.issued) == 2

    play(scene)


def test_failures_are_retried_ever_less_often_and_cost_no_certificate() -> None:
    stage = Stage("one.test")

    async def scene() -> None:
        await stage.pass_time()
        stage.authority.failure = AuthorityError("busy")
        await stage.pass_time(61 * DAY)
        for pause in (120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600):
            tried = len(stage.authority.issued)
            await stage.pass_time(pause - 1)
            assert len(stage.authority.issued) == tried, pause
            await stage.pass_time(1)
            assert len(stage.authority.issued) == tried + 1, pause
        assert serial(stage.autocert.context, "one.test") == 1
        stage.authority.failure = None
        await stage.pass_time(6 * 3600)
        assert serial(stage.autocert.context, "one.test") > 1

    logs = [entry for entry in play(scene) if entry["event"] == "certificate_not_issued"]
    assert len(logs) == 11 and logs[0]["error"] == "busy" and not logs[0]["exc_info"]


def test_a_mistake_of_ours_does_not_end_it() -> None:
    stage = Stage("one.test")
    stage.authority.failure = RuntimeError("what is this")

    async def scene() -> None:
        await stage.pass_time()
        stage.authority.failure = None
        await stage.pass_time(120)
        assert serial(stage.autocert.context, "one.test")

    assert play(scene)[0]["exc_info"]


def test_any_host_within_bounds_without_a_whitelist() -> None:
    stage = Stage()
    context = stage.autocert.context

    async def scene() -> None:
        assert serial(context, "one.test") == 0 and serial(context, "localhost") == 0 and serial(context, None) == 0
        await stage.pass_time()
        assert stage.authority.issued == ["one.test"] and serial(context, "one.test") == 1
        stage.authority.failure = AuthorityError("not yours")
        for number in range(MAX_UNLISTED_HOSTS + 50):
            assert serial(context, f"{number}.test") == 0
        assert len(stage.autocert._hosts) == MAX_UNLISTED_HOSTS
        for _ in range(UNLISTED_ATTEMPTS * MAX_UNLISTED_HOSTS):
            stage.autocert.every_second()
            if stage.autocert._work is not None:
                await stage.autocert._work
            else:
                stage.clock.advance(500)
        assert list(stage.autocert._hosts) == ["one.test"]

    play(scene)


def test_the_cache_survives_and_is_shared(tmp_path: Path) -> None:
    stage = Stage("one.test", cache_dir=str(tmp_path / "cache"))

    async def scene() -> None:
        await stage.pass_time()
        other = stage.another()
        assert serial(other.context, "one.test") == 1
        assert other._cache.account_key().private_numbers() == stage.autocert._cache.account_key().private_numbers()
        await stage.pass_time(61 * DAY)
        assert stage.authority.issued == ["one.test"] * 2
        stage.autocert = other  # it finds what the first one has renewed
        await stage.pass_time()
        assert stage.authority.issued == ["one.test"] * 2 and serial(other.context, "one.test") == 2
        (tmp_path / "cache" / "one.test").write_text("nonsense")
        stage.autocert = stage.another()
        await stage.pass_time()
        assert stage.authority.issued == ["one.test"] * 3

    play(scene)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "cache").iterdir()} == {
        "one.test": 0o600,
        ACCOUNT_KEY: 0o600,
        LOCK: 0o600,
    }


@pytest.mark.parametrize("wrong", ["host", "key", "ended", "certificate"])
def test_what_does_not_fit_in_the_cache_is_ignored(wrong: str, tmp_path: Path) -> None:
    stage = Stage("one.test", cache_dir=str(tmp_path))
    key = ec.generate_private_key(ec.SECP256R1())
    stage.authority.days = 1 if wrong == "ended" else 90
    chain = stage.authority.sign("two.test" if wrong == "host" else "one.test", key)
    if wrong == "certificate":
        chain = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    kept = ec.generate_private_key(ec.SECP256R1()) if wrong == "key" else key
    CertificateCache(str(tmp_path)).keep_certificates("one.test", Certificates(chain, key_as_pem(kept)))
    if wrong == "ended":
        stage.clock.advance(2 * DAY)
    with capture_logs() as logs:
        stage.autocert = stage.another()
    assert [entry["event"] for entry in logs] == ["kept_certificate_ignored"]
    assert serial(stage.autocert.context, "one.test") == 0


def test_a_cache_that_cannot_be_written_does_not_cost_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage("one.test", cache_dir=str(tmp_path))

    def refuse(*_arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(stage.autocert._cache, "keep_certificates", refuse)

    async def scene() -> None:
        await stage.pass_time()
        assert serial(stage.autocert.context, "one.test") == 1

    assert [entry["event"] for entry in play(scene)] == ["certificate_not_kept", "certificate_issued"]


def test_only_authorities_see_the_proof() -> None:
    stage = Stage("one.test")
    context = stage.autocert.context
    seen: list[Any] = []

    def look() -> None:
        seen.append((shown(context, "one.test", ALPN_PROTOCOL), serial(context, "one.test")))

    async def scene() -> None:
        await stage.pass_time()
        stage.authority.meanwhile = look
        await stage.pass_time(61 * DAY)
        assert shown(context, "one.test", "http/1.1")
        assert context._msg_callback is None  # type: ignore[attr-defined]

    play(scene)
    ((proof, usual),) = seen
    assert usual == 1
    names = proof.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["one.test"]
    identifier = proof.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"token.thumb")
    assert identifier.critical and identifier.value.public_bytes() == b"\x04\x20" + digest.finalize()


def test_the_challenge_listener(tmp_path: Path) -> None:
    stage = Stage("one.test", http=True, cache_dir=str(tmp_path))
    gate: list[asyncio.Event] = []
    answers: list[Any] = []

    async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        client.send(request)
        answer = await client.response()
        client.writer.close()
        return answer

    async def scene() -> None:
        gate.append(asyncio.Event())
        loop = asyncio.get_running_loop()
        stage.authority.meanwhile = lambda: asyncio.run_coroutine_threadsafe(gate[0].wait(), loop).result()  # type: ignore[assignment]
        await stage.autocert.start("127.0.0.1", 0)
        port = stage.autocert.challenge_port
        request = get("/.well-known/acme-challenge/token")
        while (answer := await ask(port, request))[0] == 404:
            await asyncio.sleep(0)
        other = stage.another()
        await other.start("127.0.0.1", 0)
        answers.extend([answer, await ask(other.challenge_port, request)])
        gate[0].set()
        assert stage.autocert._work is not None
        await stage.autocert._work
        answers.append(await ask(port, request))
        await stage.autocert.stop()
        await other.stop()

    play(scene)
    assert [answer[0] for answer in answers] == [200, 200, 404]
    assert answers[0][2] == answers[1][2] == b"token.thumb"
    assert {path.name for path in tmp_path.iterdir()} == {"one.test", ACCOUNT_KEY, LOCK}


@pytest.mark.parametrize(
    ("method", "path", "query", "host", "expected"),
    [
        ("GET", "/", "", "one.test", "https://one.test/"),
        ("HEAD", "/a b", "c=d&e", "One.Test:80", "https://one.test/a%20b?c=d&e"),
        ("GET", "/\r\nX: y", "", "one.test", "https://one.test/%0D%0AX:%20y"),
        ("POST", "/", "", "one.test", 400),
        ("GET", "/", "", "", 400),
        ("GET", "/", "", "one.test/x", 400),
        ("GET", "/.well-known/acme-challenge/", "", "one.test", 404),
        ("GET", "/.well-known/acme-challenge/../x", "", "one.test", 404),
        ("GET", "/.well-known/acme-challenge/acme_account+key", "", "one.test", 404),
    ],
)
def test_everybody_else_is_sent_to_https(
    method: str, path: str, query: str, host: str, expected: str | int, tmp_path: Path
) -> None:
    cache = CertificateCache(str(tmp_path))
    cache.account_key()
    answer = ChallengeEndpoint(cache.token).begin(HttpRequest(method, path, query, {"host": host}))
    assert answer is not None
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert (answer.status, answer.headers) == (302, [("Location", expected)])


def test_tokens_cannot_leave_the_directory(tmp_path: Path) -> None:
    cache = CertificateCache(str(tmp_path / "cache"))
    (tmp_path / "x+http-01").write_text("secret")
    assert cache.token("../x") == b""
    with pytest.raises(ValueError, match="token"):
        cache.keep_token("../y", b"")
    cache.forget_token("../x")
    assert (tmp_path / "x+http-01").exists()


def test_the_end_does_not_wait_for_an_authority() -> None:
    stage = Stage("one.test")

    async def scene() -> None:
        gate = module.threading.Event()
        stage.authority.meanwhile = lambda: gate.wait(60) and None  # type: ignore[assignment]
        await stage.autocert.start("", 0)
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await stage.autocert.stop()
        gate.set()

    play(scene)


@pytest.mark.parametrize(("http", "kind"), [(True, HTTP_01), (False, TLS_ALPN_01)])
def test_the_kind_of_proof(http: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("one.test", http=http)
    kinds: list[str] = []
    issue = stage.authority.issue

    def note(host: str, key: Any, kind: str, show: Any) -> bytes:
        kinds.append(kind)
        return issue(host, key, kind, show)

    monkeypatch.setattr(stage.authority, "issue", note)
    play(stage.pass_time)
    assert kinds == [kind]
