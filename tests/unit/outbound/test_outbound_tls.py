"""Contexts of clients: whom they trust, what they show, what they refuse to speak."""

from __future__ import annotations

import ssl

import pytest
import trustme

from centripetal.model.tls import TlsSettings
from centripetal.outbound.tls import client_context

AUTHORITY = trustme.CA()
OTHER = trustme.CA()
LEAF = AUTHORITY.issue_cert("one.test")
CERTIFICATE = LEAF.cert_chain_pems[0].bytes().decode()
KEY = LEAF.private_key_pem.bytes().decode()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def server(leaf: trustme.LeafCert = LEAF, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if asks:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "one.test") -> ssl.SSLObject:
    """Has two sides shake hands in memory; returns the server's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=host)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [left, right]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return right


def test_the_given_authority_alone_is_trusted() -> None:
    shake(client_context(TlsSettings(server_ca_pem=pem(AUTHORITY))), server())
    for settings in (TlsSettings(server_ca_pem=pem(OTHER)), TlsSettings()):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(client_context(settings), server())


def test_the_name_is_checked() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="[Hh]ostname"):
        shake(client_context(TlsSettings(server_ca_pem=pem(AUTHORITY))), server(), "two.test")


def test_the_system_is_trusted_without_an_authority() -> None:
    assert client_context(TlsSettings()).verify_mode is ssl.CERT_REQUIRED


def test_no_check_on_demand() -> None:
    shake(client_context(TlsSettings(insecure_skip_verify=True)), server(), "two.test")


def test_a_certificate_is_shown_to_those_who_ask() -> None:
    settings = TlsSettings(server_ca_pem=pem(AUTHORITY), cert_pem=CERTIFICATE, key_pem=KEY)
    assert shake(client_context(settings), server(asks=True)).getpeercert()
    with pytest.raises(ssl.SSLError):
        shake(client_context(TlsSettings(server_ca_pem=pem(AUTHORITY))), server(asks=True))


def test_old_versions_are_not_spoken() -> None:
    old = server()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake(client_context(TlsSettings(insecure_skip_verify=True)), old)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (TlsSettings(server_ca_pem="/nowhere"), "^server_ca_pem: "),
        (TlsSettings(server_ca_pem=KEY), "^server_ca_pem: "),
        (TlsSettings(cert_pem="/nowhere", key_pem=KEY), "^cert_pem: "),
        (TlsSettings(cert_pem=CERTIFICATE), "^key_pem: is empty"),
        (TlsSettings(key_pem=KEY), "^cert_pem: is empty"),
        (TlsSettings(cert_pem=pem(AUTHORITY), key_pem=KEY), "^key_pem: is not the key of cert_pem"),
    ],
)
def test_mistakes_are_named(settings: TlsSettings, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        client_context(settings)
