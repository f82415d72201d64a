"""`fetch`: what an issuer's address may answer, byte for byte, and what becomes of everything else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.auth.document import FetchError, fetch, require_http_url
from fairlead.errors import ConfigurationError

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer | bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads one request and answers with these bytes; gives its port and the requests."""
    requests: list[bytes] = []
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def get(port: int, path: str = "/jwks.json", *, scheme: str = "http", timeout_s: float = 30) -> tuple[bytes, int | None]:
    document = await fetch(f"{scheme}://localhost:{port}{path}", timeout_s=timeout_s, max_bytes=1000)
    return document.body, document.max_age_s


async def failure(answer: Answer | bytes, timeout_s: float = 30) -> str:
    async with served(answer) as (port, _):
        with pytest.raises(FetchError) as caught:
            await get(port, timeout_s=timeout_s)
    return str(caught.value)


async def test_request() -> None:
    """One GET with Host, path and query of the URL; no credentials of the URL travel in it."""
    async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (port, requests):
        await fetch(f"http://user:secret@localhost:{port}/keys?set=1#part", timeout_s=30, max_bytes=1000)
    lines = requests[0].decode().split("\r\n")
    assert "GET /keys?set=1 HTTP/1.1" == lines[0]
    assert f"Host: localhost:{port}" in lines
    assert "Connection: close" in lines
    assert "secret" not in requests[0].decode()


async def test_path_is_a_slash_without_one() -> None:
    """A URL without a path asks for the root."""
    async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (port, requests):
        await get(port, "")
    assert requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
    ids=["length", "chunks", "close", "HTTP/1.0"],
)
async def test_body_in_every_framing(answer: bytes) -> None:
    """RFC 9112 §6: length, chunks or the end of the connection delimit the body."""
    async with served(answer) as (port, _):
        assert (b"hello", None) == await get(port)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=300", 300),
        ("public, max-age=300", 300),
        ("Max-Age=60, must-revalidate", 60),
        ("s-maxage=5", None),
        ("no-store", None),
        ("max-age=x", None),
    ],
)
async def test_max_age(value: str, expected: int | None) -> None:
    """The issuer says for how long its keys may be kept (RFC 9111 §5.2.2.1)."""
    answer = f"HTTP/1.1 200 OK\r\nCache-Control: {value}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    async with served(answer) as (port, _):
        assert (b"{}", expected) == await get(port)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "the connection ended inside the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "the connection ended inside the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, "more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, "more than 1000 bytes"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "the answer is not HTTP"),
        (b"", "the connection ended before the answer"),
    ],
)
async def test_bad_answers(answer: bytes, reason: str) -> None:
    """SEC-J06: redirects are not followed; whatever is no complete small 200 is one line."""
    assert reason == await failure(answer)


async def test_silent_peer() -> None:
    """A peer that accepts and says nothing, or drips, costs `timeout_s`."""

    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert "no answer within 0.05 s" == await failure(silent, timeout_s=0.05)


async def test_endless_body_is_not_kept() -> None:
    """A peer that never stops sending is cut at the limit."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    assert "more than 1000 bytes" == await failure(endless)


async def test_refused_connection() -> None:
    """Nobody listens: one line, not an exception of the operating system."""
    async with served(b"") as (port, _):
        pass
    with pytest.raises(FetchError, match=r"ConnectionRefusedError|ConnectionResetError|OSError|Multiple"):
        await get(port)


async def test_certificate_is_checked(tmp_path: Path) -> None:
    """https without a certificate that we trust is refused: whoever sits between could publish keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", context) as (port, requests):
        with pytest.raises(FetchError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            await get(port, scheme="https")
    assert [] == requests


async def test_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """https with a certificate of a trusted authority works; the usual variable names the authorities."""
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", context) as (port, _):
        assert (b"{}", None) == await get(port, scheme="https")


def self_signed(folder: Path) -> Path:
    """A file with a new key and a certificate for localhost that it signed itself."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize(
    "url", ["", "/jwks.json", "auth:8001/jwks.json", "file:///etc/passwd", "http://", "http://[", "http://auth:99999/"]
)
def test_address_must_be_http(url: str) -> None:
    """K7: an address that can't be fetched is refused at the start, by the name of its setting."""
    with pytest.raises(ConfigurationError, match="jwks_url: "):
        require_http_url(url, "jwks_url")


@pytest.mark.parametrize("url", ["http://auth:8001/jwks.json", "https://auth.example/", "http://[::1]:8001/"])
def test_usual_addresses(url: str) -> None:
    """http inside a cluster, https outside, IPv6."""
    require_http_url(url, "jwks_url")
