"""How the terminal tools find and trust the server of this machine."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import click
import pytest
import trustme

from centripetal.cli.local_tls import local_tls
from centripetal.cli.server_api import api_url
from centripetal.config import Config, load

AUTHORITY = trustme.CA()
OURS, OTHER = AUTHORITY.issue_cert("rt.example.com"), AUTHORITY.issue_cert("rt.example.com")


def configured(**options: str) -> Config:
    return load(None, environ={}, flags={f"http_server.{name.replace('__', '.')}": v for name, v in options.items()}).config


def with_certificate(name: str = "tls", **options: str) -> Config:
    pem = {"cert_pem": OURS.cert_chain_pems[0].bytes().decode(), "key_pem": OURS.private_key_pem.bytes().decode()}
    return configured(**{f"{name}__{option}": value for option, value in (pem | {"enabled": "true"}).items()}, **options)


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (configured(), "http://127.0.0.1:8000/api"),
        (with_certificate(), "https://127.0.0.1:8000/api"),
        (with_certificate(internal_port="9000"), "https://127.0.0.1:9000/api"),
        (with_certificate(internal_port="9000", tls_external="true"), "http://127.0.0.1:9000/api"),
        (with_certificate("internal_tls", internal_port="9000"), "https://127.0.0.1:9000/api"),
        (with_certificate("internal_tls"), "http://127.0.0.1:8000/api"),
        (configured(tls_autocert__enabled="true"), "https://127.0.0.1:8000/api"),
    ],
)
def test_where_the_api_is(config: Config, url: str) -> None:
    assert api_url(config) == url


def shake(served: trustme.LeafCert) -> None:
    """Has a server show a certificate to the tools."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.configure_cert(context)
    left, right = socket.socketpair()

    def serve() -> None:
        try:
            context.wrap_socket(right, server_side=True).close()
        except OSError:
            right.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        tls = local_tls(with_certificate(), "external")
        assert tls is not None
        tls.wrap(left).close()
    finally:
        left.close()
        server.join()


def test_our_certificate_is_trusted_whatever_its_name() -> None:
    shake(OURS)


def test_another_of_the_same_name_is_not() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(OTHER)


def test_none_is_needed_without_tls() -> None:
    assert local_tls(with_certificate(tls_external="true"), "internal") is None


def test_certificates_by_acme_are_checked_by_name() -> None:
    def host(**options: Any) -> str:
        tls = local_tls(configured(tls_autocert__enabled="true", **options), "external")
        assert tls is not None and tls.context.check_hostname
        return tls.host

    assert host(tls_autocert__host_whitelist="a.test b.test") == "a.test"
    assert host(tls_autocert__host_whitelist="a.test b.test", tls_autocert__server_name="b.test") == "b.test"
    with pytest.raises(click.ClickException, match="--url"):
        host()


def test_a_certificate_that_cannot_be_read() -> None:
    config = configured(tls__enabled="true", tls__cert_pem="/nowhere", tls__key_pem="/nowhere")
    with pytest.raises(click.ClickException, match="http_server.tls.cert_pem"):
        local_tls(config, "external")
