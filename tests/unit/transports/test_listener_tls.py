"""Whom a listener with TLS lets in, and certificates that change while it runs."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from sockets import Client, House, get, in_house
from structlog.testing import capture_logs

from centripetal.model.certificates import Certificates
from centripetal.model.tls import TlsSettings
from centripetal.transports.tls import LOOK_SECONDS, ListenerTls, front_context, server_context

AUTHORITY = trustme.CA()
OTHER = trustme.CA()
LEAVES = [AUTHORITY.issue_cert(f"{number}.test", "localhost") for number in range(3)]


def chain(leaf: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def settings(leaf: trustme.LeafCert, authority: trustme.CA | None = None) -> TlsSettings:
    return TlsSettings(
        cert_pem=chain(leaf).decode(),
        key_pem=leaf.private_key_pem.bytes().decode(),
        client_ca_pem=authority.cert_pem.bytes().decode() if authority else "",
    )


def client_context(leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    if leaf is not None:
        leaf.configure_cert(context)
    return context


def served(client: Client) -> str:
    """Returns the first name of the certificate that a client was shown."""
    der = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(names.get_values_for_type(x509.DNSName)[0])


async def connect(house: House, context: ssl.SSLContext | None = None) -> Client:
    return await house.connect(context or client_context(), "localhost")


async def is_let_in(house: House, context: ssl.SSLContext) -> bool:
    """Returns whether a request is answered; with TLS 1.3 a client learns only afterwards that it was refused."""
    try:
        client = await connect(house, context)
        client.send(get("/echo"))
        return (await client.response())[0] == 200
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False


def shake(
    client: ssl.SSLContext, server: ssl.SSLContext, *, host: str | None = "localhost", session: Any = None
) -> ssl.SSLObject:
    """Has two sides shake hands in memory, where alerts and sessions can be seen; returns the client's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=host, session=session)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (right, left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                if side is left:
                    raise
    right.write(b"x")
    left.read(1)  # and with it the ticket
    return left


class Files:
    """A certificate and its key as files."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.settings = TlsSettings(cert_pem=str(self.certificate), key_pem=str(self.key))

    def write(self, leaf: trustme.LeafCert) -> None:
        """Replaces both as a renewal does: a new file takes the name of the old."""
        for path, content in ((self.certificate, chain(leaf)), (self.key, leaf.private_key_pem.bytes())):
            new = path.with_suffix(".new")
            new.write_bytes(content)
            os.replace(new, path)


def test_clients_must_show_a_certificate_of_the_authority() -> None:
    async def test(house: House) -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
        assert await is_let_in(house, client_context(AUTHORITY.issue_cert("me.test")))
        assert not await is_let_in(house, client_context(OTHER.issue_cert("me.test")))
        assert not await is_let_in(house, client_context())
        assert len(house.listener.connections) == 1 and not reported

    in_house(test, tls=ListenerTls("http_server.tls", settings(LEAVES[0], AUTHORITY)).context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions(version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    server = ListenerTls("http_server.tls", settings(LEAVES[0])).context
    if version is ssl.TLSVersion.TLSv1_1:
        context.set_ciphers("ALL:@SECLEVEL=0")
        server.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match="PROTOCOL"):
            shake(context, server)
    else:
        assert shake(context, server).version() == version.name.replace("_", ".")


def test_the_protocol_is_agreed_on() -> None:
    async def test(house: House) -> None:
        context = client_context()
        context.set_alpn_protocols(["x", "b"])
        client = await connect(house, context)
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "b"

    in_house(test, tls=ListenerTls("http_server.tls", settings(LEAVES[0]), ["a", "b"]).context)


def test_a_renewed_file_is_used_for_new_connections_only(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write(LEAVES[0])
    tls = ListenerTls("http_server.tls", files.settings)

    async def test(house: House) -> None:
        old = await connect(house)
        files.write(LEAVES[1])
        for look in range(2):
            assert served(await connect(house)) == "0.test", look
            for _ in range(LOOK_SECONDS):
                tls.every_second()
        assert served(await connect(house)) == "1.test"
        old.send(get("/echo"))
        assert (await old.response())[0] == 200 and served(old) == "0.test"

    with capture_logs() as logs:
        in_house(test, tls=tls.context)
    (entry,) = logs
    assert entry["event"] == "certificate_renewed" and entry["option"] == "http_server.tls" and entry["expires"]


def test_half_a_renewal_is_not_taken(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write(LEAVES[0])
    tls = ListenerTls("http_server.tls", files.settings)

    def look(times: int = 1) -> None:
        for _ in range(times * LOOK_SECONDS):
            tls.every_second()

    async def test(house: House) -> None:
        files.certificate.write_bytes(chain(LEAVES[1]))
        look()
        files.write(LEAVES[1])  # the key follows
        look(2)
        assert served(await connect(house)) == "1.test"

    with capture_logs() as logs:
        in_house(test, tls=tls.context)
    assert [entry["event"] for entry in logs] == ["certificate_renewed"]


def test_broken_files_leave_the_certificate_in_use(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write(LEAVES[0])
    tls = ListenerTls("http_server.tls", files.settings)

    async def test(house: House) -> None:
        files.key.write_bytes(LEAVES[1].private_key_pem.bytes())
        for _ in range(5 * LOOK_SECONDS):
            tls.every_second()
        files.certificate.unlink()
        tls.reload()
        assert served(await connect(house)) == "0.test"
        files.write(LEAVES[2])
        tls.reload()
        assert served(await connect(house)) == "2.test"

    with capture_logs() as logs:
        in_house(test, tls=tls.context)
    assert [entry["event"] for entry in logs] == ["certificate_refused", "certificate_refused", "certificate_renewed"]
    assert "key_pem: is not the key" in logs[0]["error"] and "cert_pem: " in logs[1]["error"]


def test_other_settings_on_reload() -> None:
    tls = ListenerTls("http_server.tls", settings(LEAVES[0]))

    async def test(house: House) -> None:
        with_certificate, without = client_context(LEAVES[2]), client_context()
        assert await is_let_in(house, without)
        tls.reload(settings(LEAVES[1], AUTHORITY))
        assert served(await connect(house, with_certificate)) == "1.test"
        assert not await is_let_in(house, without)
        tls.reload(settings(LEAVES[1], OTHER))
        assert not await is_let_in(house, with_certificate)
        tls.reload(settings(LEAVES[1]))
        assert await is_let_in(house, without)

    in_house(test, tls=tls.context)


def test_sessions_are_resumed_across_a_renewal() -> None:
    tls = ListenerTls("http_server.tls", settings(LEAVES[0]))
    context = client_context()
    first = shake(context, tls.context)
    tls.reload(settings(LEAVES[1]))
    assert shake(context, tls.context, session=first.session).session_reused


def test_an_expired_certificate_is_warned_of() -> None:
    from datetime import UTC, datetime, timedelta

    leaf = AUTHORITY.issue_cert("0.test", not_after=datetime.now(UTC) - timedelta(hours=1))
    with capture_logs() as logs:
        ListenerTls("http_server.internal_tls", settings(leaf))
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("certificate_loaded", "warning")]


def test_a_host_that_is_not_served_is_refused() -> None:
    leaf = LEAVES[0]
    context = server_context(Certificates(chain(leaf), leaf.private_key_pem.bytes()))
    front = front_context(lambda _connection, host: context if host == "localhost" else None, ssl.SSLContext)
    shake(client_context(), front)
    with pytest.raises(ssl.SSLError, match="unrecognized"):
        shake(client_context(), front, host="other.test")
    nameless = client_context()
    nameless.check_hostname = False
    with pytest.raises(ssl.SSLError, match="unrecognized"):
        shake(nameless, front, host=None)


def test_connections_that_ended_leave_nothing_to_collect() -> None:
    tls = ListenerTls("http_server.tls", settings(LEAVES[0]))
    context = client_context()
    beginning = bytes.fromhex("1603010200010001fc0303")  # of a ClientHello

    def come_and_go(port: int) -> None:
        """Says goodbye, just leaves, or leaves amid the handshake."""
        for way in ("unwrap", "close", "half") * 5:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
                if way == "half":
                    plain.sendall(beginning)
                    continue
                with context.wrap_socket(plain, server_hostname="localhost") as connection:
                    connection.sendall(get("/echo"))
                    assert connection.recv(1000)
                    if way == "unwrap":
                        connection.unwrap()

    async def test(house: House) -> None:
        gc.collect()
        gc.disable()
        try:
            await asyncio.to_thread(come_and_go, house.listener.port)
            async with asyncio.timeout(20):
                while house.listener.connections:
                    await asyncio.sleep(0.01)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = {type(item).__name__ for item in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not found & {"HttpConnection", "SSLProtocol", "_SSLProtocolTransport", "TCPTransport", "SSLObject"}, found

    in_house(test, tls=tls.context)
