"""Certificates: which one a client gets, and how a renewed one takes the place of the old (mission S)."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fairlead import App, Request, text
from fairlead.errors import ConfigurationError
from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server import Server
from fairlead.server.tls import CertificateFiles, Certificates
from fairlead.websocket import Websocket
from tests.framework.server.authority import Authority
from tests.framework.server.conftest import Peer, listening_socket
from tests.framework.websocket.conftest import text as frame_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = pytest.mark.event_loop("uvloop", "asyncio")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A certificate authority."""
    return Authority()


@pytest.fixture
def shop(authority: Authority, tmp_path: Path) -> Path:
    """A folder with a certificate for shop.example."""
    authority.issue(tmp_path / "shop", "shop.example", "*.shop.example")
    return tmp_path / "shop"


@pytest.fixture
def blog(authority: Authority, tmp_path: Path) -> Path:
    """A folder with a certificate for Blog.example, as Kubernetes mounts it."""
    authority.issue(tmp_path / "blog", "Blog.example", pair=("tls.crt", "tls.key"))
    return tmp_path / "blog"


def certificates(*folders: Path, **options: Any) -> Certificates:
    """The certificates of these folders."""
    return Certificates([CertificateFiles.in_directory(folder) for folder in folders], **options)


class Client:
    """Says hello to a server, believing what an authority has signed."""

    def __init__(self, address: tuple[str, int], authority: Authority, server: Server) -> None:
        self.server = server
        self._address = address
        self._authority = authority
        self.context = authority.client()
        self.peers: list[Peer] = []

    async def connect(self, name: str | None) -> Peer:
        """A connection to a host; None says no name, and believes any."""
        self.context.check_hostname = name is not None
        peer = Peer(*await asyncio.open_connection(*self._address, ssl=self.context, server_hostname=name or ""))
        self.peers.append(peer)
        return peer

    async def serial(self, name: str | None) -> int:
        """The number of the certificate that one gets."""
        return serial(await self.connect(name))


def serial(peer: Peer) -> int:
    """The number of the certificate of a connection."""
    return int(peer.writer.get_extra_info("peercert")["serialNumber"], 16)


Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
async def serve_tls(authority: Authority) -> AsyncIterator[Serve]:
    """`await serve_tls(certificates)` serves a page that shows the name the client asked for."""
    ends: list[Callable[[], Awaitable[Any]]] = []

    async def start(served: Certificates, **limits: Any) -> Client:
        app = App("tls")

        @app.get("/")
        async def index(request: Request) -> object:
            return text(f"{request.scheme} {request.conn_info.server_name}")

        @app.websocket("/ws")
        async def echo(request: Request, ws: Websocket) -> None:
            async for message in ws:
                await ws.send(message)

        listening = listening_socket()
        server = Server(app.finalise(), [listening], tls=served, limits=Limits(**limits))
        await server.start()
        client = Client(listening.getsockname(), authority, server)

        async def end() -> None:
            for peer in client.peers:
                peer.close()
            await server.drain(asyncio.get_running_loop().time())
            listening.close()

        ends.append(end)
        return client

    yield start
    for end in ends:
        await end()


async def test_certificate_by_name(serve_tls: Serve, shop: Path, blog: Path) -> None:
    """By name, by wildcard for one label, in any case; the first for a name that is not known, and for none."""
    client = await serve_tls(certificates(shop, blog))
    first, second = await client.serial("shop.example"), await client.serial("blog.example")
    assert first != second
    assert await client.serial("www.shop.example") == first
    assert await client.serial("BLOG.example") == second
    assert await client.serial(None) == first
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await client.connect("other.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await client.connect("a.b.shop.example")


async def test_strict(serve_tls: Serve, shop: Path, blog: Path) -> None:
    """Strict: who asks for no name of ours is cut, and sees no certificate. (asyncio drops the alert that we give.)"""
    client = await serve_tls(certificates(shop, blog, strict=True))
    assert await client.serial("shop.example") != await client.serial("blog.example")
    for name in ("other.example", None):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await client.connect(name)


async def test_what_a_handler_sees(serve_tls: Serve, shop: Path) -> None:
    """The scheme is https, and `conn_info.server_name` is what the client asked for."""
    client = await serve_tls(certificates(shop))
    peer = await client.connect("www.shop.example")
    await peer.send(GET)
    assert (await peer.response())[2] == b"https www.shop.example"


@pytest.mark.parametrize(("minimum", "accepted"), [("1.2", True), ("1.3", False)])
async def test_minimum_version(serve_tls: Serve, shop: Path, minimum: Any, accepted: bool) -> None:
    """TLS 1.2 is the least, or 1.3 when asked for; ALPN agrees on HTTP/1.1."""
    client = await serve_tls(certificates(shop, minimum_version=minimum))
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    client.context.set_alpn_protocols(["h2", "http/1.1"])
    if accepted:
        peer = await client.connect("shop.example")
        assert peer.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        return
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await client.connect("shop.example")


async def test_renewed_certificate(
    serve_tls: Serve, authority: Authority, shop: Path, blog: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewed certificate is shown to new clients, without a restart; connections that are open go on."""
    caplog.set_level(logging.INFO, "fairlead.server")
    served = certificates(shop, blog, check_interval_s=60)
    client = await serve_tls(served)
    open_before = await client.connect("shop.example")
    begun = CLOCK.now + 1000  # the server's own sweep looks at them, too
    served.sweep(begun)
    renewed = authority.issue(shop, "shop.example", "new.example")
    served.sweep(begun + 59)
    assert await client.serial("shop.example") == serial(open_before)
    served.sweep(begun + 60)
    expires_at = served.expiries()[str(shop / "fullchain.pem")]
    assert expires_at == x509.load_pem_x509_certificate((shop / "fullchain.pem").read_bytes()).not_valid_after_utc.timestamp()
    assert await client.serial("shop.example") == await client.serial("new.example") == await client.serial(None) == renewed
    assert [record.names for record in caplog.records if hasattr(record, "names")] == [["new.example", "shop.example"]]
    await open_before.send(GET)
    assert (await open_before.response())[0] == 200


async def test_sweep_of_the_server_looks_at_the_files(
    serve_tls: Serve, authority: Authority, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask for it."""
    client = await serve_tls(certificates(shop, check_interval_s=60))
    renewed = authority.issue(shop, "shop.example")
    client.server.sweep()
    monkeypatch.setattr(CLOCK.__class__, "refresh", lambda self: setattr(self, "now", self.now + 60))
    client.server.sweep()
    monkeypatch.undo()
    assert await client.serial("shop.example") == renewed


async def test_websocket(serve_tls: Serve, shop: Path) -> None:
    """A websocket over TLS (wss)."""
    client = await serve_tls(certificates(shop))
    peer = await client.connect("shop.example")
    await peer.send(
        b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
    for message in ("one", "two"):
        await peer.send(frame_of(message))
        assert (await peer.reader.readexactly(5))[2:] == message.encode()


async def test_renewal_on_demand(serve_tls: Serve, authority: Authority, shop: Path, blog: Path) -> None:
    """`reload` loads all of them at once, whatever the interval; an interval of 0 never looks."""
    served = certificates(shop, blog, check_interval_s=0)
    client = await serve_tls(served)
    renewed = authority.issue(shop, "shop.example")
    served.sweep(CLOCK.now + 1e9)
    assert await client.serial("shop.example") != renewed
    assert served.reload() == 2
    assert await client.serial("shop.example") == renewed


@pytest.mark.parametrize("fault", ["half", "broken", "gone"])
async def test_renewal_that_can_not_be_loaded(
    serve_tls: Serve, authority: Authority, shop: Path, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewal of which one file is still the old one, or broken, or gone, changes nothing but the log, and is tried again."""
    served = certificates(shop)
    client = await serve_tls(served)
    before = await client.serial("shop.example")
    renewed = authority.issue(tmp_path / "renewed", "shop.example")
    certificate = shop / "fullchain.pem"
    match fault:
        case "half":
            os.replace(tmp_path / "renewed" / "fullchain.pem", certificate)
        case "broken":
            certificate.write_text("-----BEGIN CERTIFICATE-----\n")
        case "gone":
            certificate.unlink()
    assert served.reload(only_changed=True) == 0
    assert await client.serial("shop.example") == before
    assert "the old one stays" in caplog.text
    for path in (tmp_path / "renewed").iterdir():
        os.replace(path, shop / path.name)
    assert served.reload(only_changed=True) == 1
    assert served.reload(only_changed=True) == 0
    assert await client.serial("shop.example") == renewed


async def test_client_that_does_not_begin_the_handshake(serve_tls: Serve, shop: Path) -> None:
    """A peer that connects and says nothing is closed after TLS_HANDSHAKE_TIMEOUT."""
    client = await serve_tls(certificates(shop), tls_handshake_timeout_s=0.05)
    peer = Peer(*await asyncio.open_connection(*client._address))
    assert await peer.rest() == b""
    peer.close()


def test_files_that_can_not_be_loaded(authority: Authority, tmp_path: Path) -> None:
    """Each is one clear line; a key with a password asks nobody at a terminal."""
    empty, locked = tmp_path / "empty", tmp_path / "locked"
    empty.mkdir()
    authority.issue(locked, "shop.example", password="secret")
    certificate, key = locked / "fullchain.pem", locked / "privkey.pem"
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: Certificates([]), "no certificate"),
        (lambda: certificates(empty), "holds neither fullchain.pem and privkey.pem nor tls.crt and tls.key"),
        (lambda: certificates(locked), "fullchain.pem and .*privkey.pem can't be loaded"),
        (lambda: Certificates([CertificateFiles(certificate, key, "wrong")]), "can't be loaded"),
        (lambda: Certificates([CertificateFiles(empty / "a", key)]), r"there is no .*empty/a$"),
        (lambda: Certificates([CertificateFiles(empty / "a", empty / "b")]), r"there is no .*a and no .*b$"),
        (lambda: Certificates([CertificateFiles(empty, key)]), "can't be loaded"),
    ]
    for make, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            make()
    Certificates([CertificateFiles(certificate, key, "secret")])
