"""Where certificates survive restarts (`http_server.tls_autocert.cache_dir`).

The files are those of Centrifugo: one for each host with its key and chain, one with the key of the account, and one
for each http-01 token, so that nodes which share the directory can answer each other's challenges. One more has the
answer to a tls-alpn-01 challenge, for processes that share the port.
"""

from __future__ import annotations

import contextlib
import os
import re

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ...model.certificates import Certificates
from .files import read_file, remove_file, write_file

ACCOUNT_KEY = "acme_account+key"
PROOF = "acme_proof"
PROOF_SECONDS = 300.0
"""A proof that is older was left behind by a process that died."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)


Stamp = tuple[int, int, int]
"""Changes when a file does."""


class CertificateCache:
    """A directory of keys and certificates, for its owner's eyes only. Its methods read and write files: they block.

    Args:
        directory: made if it is not there; empty for none, then everything is forgotten at the end.

    Raises:
        OSError: the directory cannot be made.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._account_key: ec.EllipticCurvePrivateKey | None = None
        if directory:
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def stamp(self, host: str) -> Stamp | None:
        """Returns what changes when a host's certificate does, None if there is none."""
        if not self._directory:
            return None
        try:
            status = os.stat(os.path.join(self._directory, host))
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def certificates(self, host: str) -> Certificates | None:
        """Returns what is kept for a host, None if there is nothing that looks like it."""
        content = self._read(host)
        key = _KEY.search(content)
        if key is None:
            return None
        return Certificates(content[: key.start()] + content[key.end() :], key[0])

    def keep_certificates(self, host: str, certificates: Certificates) -> None:
        """Keeps a host's certificate and key.

        Raises:
            OSError: the file cannot be written.
        """
        self._write(host, certificates.key + certificates.certificate)

    def account_key(self) -> ec.EllipticCurvePrivateKey:
        """Returns the key of the account, a new one if none is kept.

        Raises:
            OSError: a new one cannot be written.
        """
        if self._account_key is None:
            self._account_key = self._kept_account_key() or self._new_account_key()
        return self._account_key

    def _kept_account_key(self) -> ec.EllipticCurvePrivateKey | None:
        with contextlib.suppress(ValueError):
            found = serialization.load_pem_private_key(self._read(ACCOUNT_KEY), None)
            if isinstance(found, ec.EllipticCurvePrivateKey):
                return found
        return None

    def _new_account_key(self) -> ec.EllipticCurvePrivateKey:
        made = ec.generate_private_key(ec.SECP256R1())
        try:
            self._write(ACCOUNT_KEY, key_as_pem(made), replace=False)
        except FileExistsError:
            other = self._kept_account_key()  # another process was faster
            if other is not None:
                return other
            self._write(ACCOUNT_KEY, key_as_pem(made))  # it is broken
        return made

    def token(self, token: str) -> bytes:
        """Returns what another node answers to an http-01 challenge, empty if there is no such token."""
        return self._read(f"{token}+http-01") if _TOKEN.fullmatch(token) else b""

    def keep_token(self, token: str, answer: bytes) -> None:
        """Lets other nodes answer an http-01 challenge.

        Raises:
            OSError: the file cannot be written.
            ValueError: the token has another form than RFC 8555 gives it.
        """
        if not _TOKEN.fullmatch(token):
            raise ValueError("a token that is not in the Base64 alphabet for URLs")
        self._write(f"{token}+http-01", answer)

    def forget_token(self, token: str) -> None:
        """Undoes keep_token()."""
        if self._directory and _TOKEN.fullmatch(token):
            remove_file(self._directory, f"{token}+http-01")

    def shows_proof(self, now: float) -> bool:
        """Returns whether an authority is looking for a tls-alpn-01 proof at this moment.

        Args:
            now: Unix seconds.
        """
        if not self._directory:
            return False
        try:
            return now - os.stat(os.path.join(self._directory, PROOF)).st_mtime < PROOF_SECONDS
        except OSError:
            return False

    def proof(self, host: str) -> str:
        """Returns the answer of another process to a tls-alpn-01 challenge for a host, empty if there is none."""
        with contextlib.suppress(msgspec.DecodeError):
            shown_for, answer = msgspec.json.decode(self._read(PROOF), type=tuple[str, str])
            if shown_for == host:
                return answer
        return ""

    def keep_proof(self, host: str, answer: str) -> None:
        """Lets other processes answer a tls-alpn-01 challenge. There is one at a time.

        Raises:
            OSError: the file cannot be written.
        """
        self._write(PROOF, msgspec.json.encode((host, answer)))

    def forget_proof(self) -> None:
        """Undoes keep_proof()."""
        if self._directory:
            remove_file(self._directory, PROOF)

    def _read(self, name: str) -> bytes:
        return read_file(self._directory, name) if self._directory else b""

    def _write(self, name: str, content: bytes, *, replace: bool = True) -> None:
        if self._directory:
            write_file(self._directory, name, content, replace=replace)


def key_as_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Returns a private key as unencrypted PEM, in the form that Centrifugo reads and writes."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
