"""A certificate for each host, obtained once and renewed in time."""

from __future__ import annotations

import asyncio
import contextlib
import random
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
from .authority import HTTP_01, TLS_ALPN_01, Authority, AuthorityError, Proof
from .cache import CertificateCache, key_as_pem
from .names import host_name
from .proofs import ChallengeEndpoint, asks_for_proof, proof_context, watch_hellos

RENEW_BEFORE_SECONDS = 30 * 86400.0
"""Renewal begins so long before the end, or in the last third of certificates that live shorter."""

FIRST_PAUSE_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0
"""After a failure; the pause doubles each time, so that an hour sees no more of them than authorities allow."""

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
    """

    __slots__ = ("context", "due", "failures")

    def __init__(self, due: float) -> None:
        self.context: ssl.SSLContext | None = None
        self.due = due
        self.failures = 0


class Autocert:
    """TLS of a listener with certificates by ACME. One host is seen to at a time.

    Args:
        settings: `http_server.tls_autocert`.
        clock: when renewals are due.
        directory_url: of the ACME server.
        alpn: protocols in order of preference.
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
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._alpn = tuple(alpn)
        self._jitter = jitter
        self._cache = CertificateCache(settings.cache_dir)
        self._authority = Authority(directory_url, self._cache.account_key(), settings.email)
        self._unnamed = host_name(settings.server_name) if settings.server_name else ""
        self._takes_any = not settings.host_whitelist
        self._hosts: dict[str, Host] = {}
        self._proofs: dict[str, ssl.SSLContext] = {}
        self._answers: dict[str, bytes] = {}
        self._work: asyncio.Task[None] | None = None
        self._challenges: Listener | None = None
        self.context = front_context(self._choose)
        names = {host_name(name) for name in settings.host_whitelist} | ({self._unnamed} - {""})
        for name in sorted(names):
            self._hosts[name] = Host(clock.time())
            self._use_kept(name)

    async def start(self, address: str, port: int) -> None:
        """Begins to obtain certificates.

        Args:
            address: of the listener for http-01 challenges, if `http` is set; empty for all.
            port: of it.

        Raises:
            OSError: the address cannot be bound.
        """
        if self._takes_any:
            _log.warning("autocert_takes_any_host", option="http_server.tls_autocert.host_whitelist")
        if self._settings.http:
            self._challenges = Listener(Routes(prefixes=[("/", ChallengeEndpoint(self._find_answer))]))
            await self._challenges.start(address, port)
            _log.info("listening", listener="acme", address=address or "*", port=self._challenges.port)
        self.every_second()

    async def stop(self) -> None:
        """Ends it; an order in work is left alone."""
        if self._work is not None:
            self._work.cancel()
        if self._challenges is not None:
            await self._challenges.close(0.0)

    @property
    def challenge_port(self) -> int:
        """The TCP port of the listener for http-01 challenges, 0 without one."""
        return self._challenges.port if self._challenges is not None else 0

    def every_second(self) -> None:
        """Sees to the host that is due longest, if any."""
        if self._work is None and self._hosts:
            name = min(self._hosts, key=lambda name: self._hosts[name].due)
            if self._hosts[name].due <= self._clock.time():
                self._work = asyncio.get_running_loop().create_task(self._see_to(name, self._hosts[name]))

    # Handshakes

    def _choose(self, connection: ssl.SSLObject, host: str) -> ssl.SSLContext | None:
        try:
            name = host_name(host) if host else self._unnamed
        except ValueError:
            return None
        proof = self._proofs.get(name)
        if proof is not None and asks_for_proof(connection):
            return proof
        known = self._hosts.get(name)
        if known is None and name and self._takes_any and len(self._hosts) < MAX_UNLISTED_HOSTS:
            known = self._hosts[name] = Host(self._clock.time())
            self._use_kept(name)
        return known.context if known is not None else None

    def _find_answer(self, token: str) -> bytes:
        return self._answers.get(token) or self._cache.token(token)

    # Certificates

    async def _see_to(self, name: str, host: Host) -> None:
        try:
            if not self._use_kept(name):
                certificates = await _in_thread(lambda: self._obtain(name))
                self._use(name, certificates)
                host.due = max(host.due, self._clock.time() + LONGEST_PAUSE_SECONDS)  # whatever the clocks say
                host.failures = 0
                _log.info("certificate_issued", host=name)
        except Exception as error:  # noqa: BLE001  whatever it is, it is tried again later
            host.failures += 1
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(host.failures - 1, 20), LONGEST_PAUSE_SECONDS)
            host.due = self._clock.time() + pause
            expected = isinstance(error, (AuthorityError, OSError))
            _log.error("certificate_not_issued", host=name, error=str(error), pause_seconds=pause, exc_info=not expected)
            if self._takes_any and name != self._unnamed and host.failures >= UNLISTED_ATTEMPTS and not host.context:
                self._hosts.pop(name, None)
        finally:
            self._work = None

    def _obtain(self, name: str) -> Certificates:
        """Orders a certificate; in a thread."""
        key = ec.generate_private_key(ec.SECP256R1())
        shown: list[Proof] = []

        def show(proof: Proof) -> None:
            shown.append(proof)
            if proof.kind == HTTP_01:
                answer = proof.key_authorization.encode()
                self._answers[proof.token] = answer
                self._cache.keep_token(proof.token, answer)
            else:
                self._proofs[name] = proof_context(name, proof.key_authorization)
                watch_hellos(self.context, watch=True)

        try:
            chain = self._authority.issue(name, key, HTTP_01 if self._settings.http else TLS_ALPN_01, show)
        finally:
            watch_hellos(self.context, watch=False)
            self._proofs.pop(name, None)
            for proof in shown:
                self._answers.pop(proof.token, None)
                self._cache.forget_token(proof.token)
        certificates = Certificates(chain, key_as_pem(key))
        try:
            self._cache.keep_certificates(name, certificates)
        except OSError as error:  # it can be used nevertheless
            _log.error("certificate_not_kept", host=name, error=str(error))
        return certificates

    def _use_kept(self, name: str) -> bool:
        """Uses what the cache has; another node may have renewed it. Returns whether nothing more is to be done."""
        kept = self._cache.certificates(name)
        if kept is None:
            return False
        try:
            self._use(name, kept)
        except ValueError as error:
            _log.warning("kept_certificate_ignored", host=name, error=str(error))
            return False
        return self._hosts[name].due > self._clock.time()

    def _use(self, name: str, certificates: Certificates) -> None:
        """Gives a host a certificate from now on.

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
        host = self._hosts[name]
        early = min(RENEW_BEFORE_SECONDS, (ends - begins) / 3)
        host.due = ends - early - self._jitter() * early / 100
        host.context = context


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
