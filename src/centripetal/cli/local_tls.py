"""TLS of the terminal tools towards the server of this machine, whose configuration they have read."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import click

from centripetal.config.schema import Config
from centripetal.model.certificates import load_authorities, pem_of
from centripetal.model.tls import TlsSettings
from centripetal.transports.settings import AutocertSettings
from centripetal.transports.tls import tls_of


@dataclass(frozen=True, slots=True)
class LocalTls:
    """How to connect.

    Attributes:
        context: checks that it is our server.
        host: that the server is asked for.
    """

    context: ssl.SSLContext
    host: str

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shakes hands.

        Raises:
            OSError: it fails.
        """
        return self.context.wrap_socket(connection, server_hostname=self.host)


def local_tls(config: Config, door: str) -> LocalTls | None:
    """Returns how to connect to a listener of the server with this configuration, None if it speaks no TLS.

    The name of this machine is rarely that of the certificate, so the certificate itself is what is looked for; one
    that comes from ACME is checked by its name.

    Args:
        config: of the server.
        door: `external` or `internal`.

    Raises:
        ClickException: that cannot be found out.
    """
    option, settings = tls_of(config.http_server, door)
    if isinstance(settings, TlsSettings):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            load_authorities(context, pem_of(settings, "cert_pem"), "cert_pem")
        except ValueError as error:
            raise click.ClickException(f"{option}.{error}") from error
        return LocalTls(context, "localhost")
    if isinstance(settings, AutocertSettings):
        host = settings.server_name or next(iter(settings.host_whitelist), "")
        if not host:
            raise click.ClickException(f"{option}.host_whitelist: is empty; give the address with --url")
        return LocalTls(ssl.create_default_context(), host)
    return None
