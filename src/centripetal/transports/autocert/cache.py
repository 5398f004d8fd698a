"""Where certificates survive restarts (`http_server.tls_autocert.cache_dir`).

The files are those of Centrifugo: one for each host with its key and chain, one with the key of the account, and one
for each http-01 token, so that nodes which share the directory can answer each other's challenges.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ...model.certificates import Certificates
from ...model.pem import MAX_PEM_BYTES

ACCOUNT_KEY = "acme_account+key"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)


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
            with contextlib.suppress(ValueError):
                found = serialization.load_pem_private_key(self._read(ACCOUNT_KEY), None)
                if isinstance(found, ec.EllipticCurvePrivateKey):
                    self._account_key = found
                    return found
            made = ec.generate_private_key(ec.SECP256R1())
            self._write(ACCOUNT_KEY, key_as_pem(made))
            self._account_key = made
        return self._account_key

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
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._directory, f"{token}+http-01"))

    def _read(self, name: str) -> bytes:
        if not self._directory:
            return b""
        try:
            with open(os.path.join(self._directory, name), "rb") as file:
                return file.read(MAX_PEM_BYTES)
        except OSError:
            return b""

    def _write(self, name: str, content: bytes) -> None:
        if not self._directory:
            return
        number, path = tempfile.mkstemp(dir=self._directory, prefix=".new-")  # mode 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            os.replace(path, os.path.join(self._directory, name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise


def key_as_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Returns a private key as unencrypted PEM, in the form that Centrifugo reads and writes."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
