"""A certificate for each host, obtained once and renewed in time.

Processes that accept connections at the same port share a directory. Each of them may order a certificate, but they take
turns, and look what the others have done before they begin: a certificate, or an attempt that failed. The file of a
certificate tells the others that it is there, and challenges are answered by whichever gets the connection. So nothing is
lost when one of them dies, whatever it was about.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ...interfaces import Clock
from ...model.certificates import Certificates
from ..endpoints import Routes
from ..listener import Listener
from ..settings import AutocertSettings
from ..tls import HTTP_VERSIONS, front_context, server_context
from .attempts import Attempts
from .authority import HTTP_01, TLS_ALPN_01, Authority, AuthorityError, Proof
from .cache import CertificateCache, Stamp, key_as_pem
from .names import host_name
from .proofs import ChallengeEndpoint, WatchingContext, asks_for_proof, proof_context
from .turn import Turn

RENEW_BEFORE_SECONDS = 30 * 86400.0
"""Renewal begins so long before the end, or in the last third of certificates that live shorter."""

FIRST_PAUSE_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0
"""After a failure; the pause doubles each time, so that an hour sees no more of them than authorities allow."""

TURN_SECONDS = 1.0
"""Between two tries to get our turn."""

LOOKS_AT_ONCE = 100
"""So many hosts a second are looked at for what other processes have obtained."""

MAX_UNLISTED_HOSTS = 100
"""Without a whitelist: so many hosts get certificates."""

UNLISTED_ATTEMPTS = 3
"""Without a whitelist: after so many failures a host is forgotten."""

Result = TypeVar("Result")

_log = structlog.get_logger("centripetal.tls")


class Host:
    """A host that has or shall have a certificate.

    Attributes:
        context: with its certificate, None before the first.
        due: Unix seconds, when to see to it.
        failures: in a row.
        stamp: of the certificate's file when it was read.
    """

    __slots__ = ("context", "due", "failures", "stamp")

    def __init__(self, due: float) -> None:
        self.context: ssl.SSLContext | None = None
        self.due = due
        self.failures = 0
        self.stamp: Stamp | None = None


class Autocert:
    """TLS of a listener with certificates by ACME. One host is seen to at a time.

    Args:
        settings: `http_server.tls_autocert`.
        clock: when renewals are due.
        directory_url: of the ACME server.
        alpn: protocols in order of preference.
        group: directory of the server's processes, empty if there is one only. It has the certificates, too, without a
            `cache_dir`.
        shares_port: other processes, which have the directory of certificates, too, may get the authority's connections.
        jitter: from 0 to 1, so that nodes do not all renew at once.

    Attributes:
        context: what the listener starts with.

    Raises:
        OSError: the cache's directory cannot be made or written to.
        ValueError: a host has no full name.
    """

    def __init__(
        self,
        settings: AutocertSettings,
        clock: Clock,
        directory_url: str,
        *,
        alpn: Sequence[str] = HTTP_VERSIONS,
        group: str = "",
        shares_port: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._alpn = tuple(alpn)
        self._jitter = jitter
        self._shares_port = shares_port
        directory = settings.cache_dir or group
        self._cache = CertificateCache(directory)
        self._turn = Turn(group, directory)
        self._attempts = Attempts(group)
        self._authority = Authority(directory_url, self._cache.account_key(), settings.email)
        self._unnamed = host_name(settings.server_name) if settings.server_name else ""
        self._takes_any = not settings.host_whitelist
        self._hosts: dict[str, Host] = {}
        self._proofs: dict[str, ssl.SSLContext] = {}
        self._answers: dict[str, bytes] = {}
        self._work: asyncio.Task[None] | None = None
        self._stopping = False
        self._challenges: Listener | None = None
        self.context = front_context(self._choose, WatchingContext)
        self.context.is_proof_shown = self._is_proof_shown
        self._listed = {host_name(name) for name in settings.host_whitelist} | ({self._unnamed} - {""})
        self._looks = 0
        for name in sorted(self._listed):
            self._hosts[name] = Host(clock.time())
            self._use_kept(name)

    async def start(self, address: str, port: int, sockets: Sequence[socket.socket] = ()) -> None:
        """Begins to obtain certificates.

        Args:
            address: of the listener for http-01 challenges, if `http` is set; empty for all.
            port: of it.
            sockets: bound ones instead of both; they are the listener's then.

        Raises:
            OSError: the address cannot be bound.
        """
        if self._takes_any:
            _log.warning("autocert_takes_any_host", option="http_server.tls_autocert.host_whitelist")
        if self._settings.http:
            self._challenges = Listener(Routes(prefixes=[("/", ChallengeEndpoint(self._find_answer))]))
            await self._challenges.start(address, port, sockets=sockets)
            _log.info("listening", listener="acme", address=address or "*", port=self._challenges.port)
        self.every_second()

    def stop_accepting(self) -> None:
        """Leaves challenges and new orders to other processes; an order in work goes on."""
        self._stopping = True
        if self._challenges is not None:
            self._challenges.stop_accepting()

    async def stop(self) -> None:
        """Ends it; an order in work is left alone."""
        self._stopping = True
        if self._work is not None:
            self._work.cancel()
        if self._challenges is not None:
            await self._challenges.close(0.0)

    @property
    def challenge_port(self) -> int:
        """The TCP port of the listener for http-01 challenges, 0 without one."""
        return self._challenges.port if self._challenges is not None else 0

    def challenge_filenos(self) -> list[int]:
        """Returns the descriptors of that listener's sockets, for another process to go on with."""
        return self._challenges.filenos() if self._challenges is not None else []

    def every_second(self) -> None:
        """Looks what other processes have obtained, and sees to the host that is due longest, if any."""
        self._look_at_some()
        if self._work is None and self._hosts and not self._stopping:
            name = min(self._hosts, key=lambda name: self._hosts[name].due)
            if self._hosts[name].due <= self._clock.time():
                self._work = asyncio.get_running_loop().create_task(self._see_to(name, self._hosts[name]))

    # Handshakes

    def _choose(self, connection: ssl.SSLObject, host: str) -> ssl.SSLContext | None:
        try:
            name = host_name(host) if host else self._unnamed
        except ValueError:
            return None
        if asks_for_proof(connection):
            proof = self._proof(name)
            if proof is not None:
                return proof
        known = self._hosts.get(name)
        if known is None and name and self._takes_any and len(self._hosts) < MAX_UNLISTED_HOSTS:
            known = self._hosts[name] = Host(self._clock.time())
            self._use_kept(name)
        return known.context if known is not None else None

    def _is_proof_shown(self) -> bool:
        return bool(self._proofs) or (self._shares_port and self._cache.shows_proof(self._clock.time()))

    def _proof(self, name: str) -> ssl.SSLContext | None:
        own = self._proofs.get(name)
        if own is not None or not self._shares_port:
            return own
        answer = self._cache.proof(name)
        return proof_context(name, answer) if answer else None

    def _find_answer(self, token: str) -> bytes:
        return self._answers.get(token) or self._cache.token(token)

    # Turns

    async def _see_to(self, name: str, host: Host) -> None:
        try:
            if not self._use_kept(name) and self._may_order(name, host):
                await self._order(name, host)
        except Exception as error:  # noqa: BLE001  whatever it is, it is tried again later
            self._put_off(name, host, error)
        finally:
            self._work = None
        self._turn.leave()  # unless this was cancelled: then the order goes on until the process ends

    def _may_order(self, name: str, host: Host) -> bool:
        """Takes the turn; returns whether it is ours and nobody else has done what is to be done."""
        now = self._clock.time()
        if not self._turn.take():
            host.due = now + TURN_SECONDS
            return False
        if self._use_kept(name):
            return False
        self._attempts.read()
        attempt = self._attempts.get(name)
        if attempt is not None:
            host.failures, host.due = attempt.failures, max(host.due, attempt.due)
            if host.due > now:
                return False
        elif name not in self._listed and (host.failures or self._count_unlisted() >= MAX_UNLISTED_HOSTS):
            self._give_up(name, host)  # another process has forgotten it, or there are too many
            return False
        # Whoever dies meanwhile is followed at once, but not for ever.
        self._attempts.note(name, host.failures + 1, now + (_pause_after(host.failures) if host.failures else 0.0))
        return True

    def _count_unlisted(self) -> int:
        return sum(host not in self._listed for host in self._attempts)

    async def _order(self, name: str, host: Host) -> None:
        context, due, is_kept = await _in_thread(lambda: self._obtain(name))
        failures, now = host.failures + 1, self._clock.time()
        at_least = now + LONGEST_PAUSE_SECONDS  # whatever the clocks say
        host.context, host.due, host.failures = context, max(due, at_least), 0
        host.stamp = self._cache.stamp(name)
        _log.info("certificate_issued", host=name)
        if is_kept:
            self._attempts.note(name, 0, at_least)
        else:  # other processes have to order their own, but not all at once
            self._attempts.note(name, failures, now + _pause_after(failures))

    def _put_off(self, name: str, host: Host, error: Exception) -> None:
        host.failures += 1
        pause = _pause_after(host.failures)
        host.due = self._clock.time() + pause
        expected = isinstance(error, (AuthorityError, OSError))
        _log.error("certificate_not_issued", host=name, error=str(error), pause_seconds=pause, exc_info=not expected)
        if self._turn.is_ours:
            self._attempts.note(name, host.failures, host.due)
        if name not in self._listed and host.failures >= UNLISTED_ATTEMPTS and host.context is None:
            self._give_up(name, host)

    def _give_up(self, name: str, host: Host) -> None:
        if host.context is not None:
            host.due = self._clock.time() + LONGEST_PAUSE_SECONDS
            return
        self._hosts.pop(name, None)
        if self._turn.is_ours:
            self._attempts.forget(name)

    # Certificates

    def _obtain(self, name: str) -> tuple[ssl.SSLContext, float, bool]:
        """Orders a certificate; in a thread. Returns what _load() does, and whether the cache has it.

        Raises:
            AuthorityError: there is none.
            ValueError: it cannot be used.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        shown: list[Proof] = []

        def show(proof: Proof) -> None:
            shown.append(proof)
            if proof.kind == HTTP_01:
                answer = proof.key_authorization.encode()
                self._cache.keep_token(proof.token, answer)
                self._answers[proof.token] = answer
            else:
                if self._shares_port:
                    self._cache.keep_proof(name, proof.key_authorization)
                self._proofs[name] = proof_context(name, proof.key_authorization)

        try:
            chain = self._authority.issue(name, key, HTTP_01 if self._settings.http else TLS_ALPN_01, show)
        finally:
            if self._proofs.pop(name, None) is not None and self._shares_port:
                self._cache.forget_proof()
            for proof in shown:
                self._answers.pop(proof.token, None)
                self._cache.forget_token(proof.token)
        certificates = Certificates(chain, key_as_pem(key))
        context, due = self._load(name, certificates)
        try:
            self._cache.keep_certificates(name, certificates)
        except OSError as error:  # it can be used nevertheless
            _log.error("certificate_not_kept", host=name, error=str(error))
            return context, due, False
        return context, due, True

    def _look_at_some(self) -> None:
        """Uses certificates that other processes have put into the cache."""
        names = list(self._hosts)
        if self._looks >= len(names):
            self._looks = 0
        for name in names[self._looks : self._looks + LOOKS_AT_ONCE]:
            self._use_kept(name)
        self._looks += LOOKS_AT_ONCE

    def _use_kept(self, name: str) -> bool:
        """Uses what the cache has; another process may have renewed it. Returns whether nothing more is to be done."""
        host = self._hosts[name]
        stamp = self._cache.stamp(name)
        if stamp is not None and stamp != host.stamp:
            host.stamp = stamp
            kept = self._cache.certificates(name)
            try:
                if kept is not None:
                    host.context, host.due = self._load(name, kept)
            except ValueError as error:
                _log.warning("kept_certificate_ignored", host=name, error=str(error))
        return host.context is not None and host.due > self._clock.time()

    def _load(self, name: str, certificates: Certificates) -> tuple[ssl.SSLContext, float]:
        """Returns what serves a certificate, and when to renew it, in Unix seconds.

        Raises:
            ValueError: it is none for this host, or has ended.
        """
        leaf = x509.load_pem_x509_certificate(certificates.certificate)
        begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            raise ValueError("the certificate has no names") from None
        if name not in names.get_values_for_type(x509.DNSName):
            raise ValueError("the certificate is for another host")
        if ends <= self._clock.time():
            raise ValueError("the certificate has ended")
        context = server_context(certificates, self._alpn)
        early = min(RENEW_BEFORE_SECONDS, (ends - begins) / 3)
        return context, ends - early - self._jitter() * early / 100


def _pause_after(failures: int) -> float:
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_SECONDS)


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Runs something that blocks in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  it belongs to the one who waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="acme", daemon=True).start()
    return await future
