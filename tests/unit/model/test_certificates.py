"""Certificates from options: every form, and every way to get them wrong."""

from __future__ import annotations

import base64
import os
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from centripetal.model.certificates import Certificates, certificate_paths, load_authorities, read_certificates
from centripetal.model.tls import TlsSettings

AUTHORITY = trustme.CA()
LEAF = AUTHORITY.issue_cert("one.test")
CERTIFICATE = b"".join(blob.bytes() for blob in LEAF.cert_chain_pems)
KEY = LEAF.private_key_pem.bytes()
RSA = AUTHORITY.issue_cert("one.test", key_type=trustme.KeyType.RSA)


def server() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.mark.parametrize("form", ["text", "base64", "path"])
def test_all_forms_are_one(form: str, tmp_path: Path) -> None:
    def of(name: str, content: bytes) -> str:
        if form == "path":
            (tmp_path / name).write_bytes(content)
            return str(tmp_path / name)
        return content.decode() if form == "text" else base64.b64encode(content).decode()

    settings = TlsSettings(cert_pem=of("c", CERTIFICATE), key_pem=of("k", KEY), client_ca_pem=of("a", CERTIFICATE))
    found = read_certificates(settings)
    assert found == Certificates(CERTIFICATE, KEY, CERTIFICATE)
    found.load_into(server())
    assert certificate_paths(settings) == ([str(tmp_path / name) for name in "cka"] if form == "path" else [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cert_pem": "/nowhere"}, "cert_pem: "),
        ({"key_pem": "no key"}, "key_pem: "),
        ({"client_ca_pem": "a\0b"}, "client_ca_pem: "),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, str], said: str) -> None:
    settings = {"cert_pem": CERTIFICATE.decode(), "key_pem": KEY.decode()} | changes
    with pytest.raises(ValueError, match=f"^{said}"):
        read_certificates(TlsSettings(**settings))


def encrypted() -> bytes:
    key = serialization.load_pem_private_key(KEY, None)
    protection = serialization.BestAvailableEncryption(b"word")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        (CERTIFICATE, AUTHORITY.issue_cert("one.test").private_key_pem.bytes(), "^key_pem: is not the key of cert_pem"),
        (CERTIFICATE, RSA.private_key_pem.bytes(), "^key_pem: "),
        (CERTIFICATE, encrypted(), "^key_pem: is encrypted"),
        (KEY, KEY, "^cert_pem, key_pem: "),
        (CERTIFICATE, CERTIFICATE, "^cert_pem, key_pem: "),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY, "^cert_pem, key_pem: "),
        (b"", b"", "^cert_pem, key_pem: "),
    ],
)
def test_what_does_not_fit_is_named(certificate: bytes, key: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Certificates(certificate, key).load_into(server())


def test_authorities() -> None:
    context = server()
    load_authorities(context, AUTHORITY.cert_pem.bytes().decode(), "client_ca_pem")
    assert len(context.get_ca_certs()) == 1
    for text in (KEY.decode(), "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"):
        with pytest.raises(ValueError, match="^client_ca_pem: "):
            load_authorities(server(), text, "client_ca_pem")


def test_without_files_in_memory_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Certificates(CERTIFICATE, KEY).load_into(server())
    with pytest.raises(ValueError, match="key_pem"):
        Certificates(CERTIFICATE, RSA.private_key_pem.bytes()).load_into(server())
    assert not list(tmp_path.iterdir())


def test_the_key_is_not_shown() -> None:
    assert KEY.decode().splitlines()[1] not in repr(Certificates(CERTIFICATE, KEY))
