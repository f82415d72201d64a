"""The end of HTTP/2 connections: the drain, the deadline, clients that go, defects; and the ways in: TLS, settings, the command."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame, WindowUpdateFrame

from fairlead import App, Request, text
from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.http.clock import CLOCK
from fairlead.response import HTTPResponse
from fairlead.server import Server
from fairlead.server.http2.connection import ANY_STREAM
from fairlead.server.tls import CertificateFiles, Certificates
from tests.framework.server.http2.client import Running, eventually, serving


def server_of(running: Running) -> Server:
    assert running.server._server is not None
    return running.server._server


def make_app(**config: Any) -> App:
    app = App("h2", config=config)

    @app.get("/")
    async def hello(request: Request) -> HTTPResponse:
        return text("hello")

    return app


async def test_drain() -> None:
    """GOAWAY for no stream first: what is under way and what still comes is answered, then the last one and the close."""
    app = make_app()
    may_end, told = asyncio.Event(), asyncio.Event()

    @app.get("/wait")
    async def wait(request: Request) -> HTTPResponse:
        request.exchange.when_draining(told.set)
        take_back = request.exchange.when_draining(lambda: None)
        take_back()
        await may_end.wait()
        return text("done")

    async with serving(app) as running:
        client, idle = await running.connect(), await running.connect()
        waiting = client.open("GET", "/wait")
        assert (await client.get()).status == 200
        assert (await idle.get()).status == 200
        draining = asyncio.create_task(server_of(running).drain(asyncio.get_running_loop().time() + 5))
        await told.wait()
        await eventually(lambda: client.goaways)
        assert [(event.last_stream_id, event.error_code) for event in client.goaways] == [(ANY_STREAM, ErrorCodes.NO_ERROR)]
        late_told = asyncio.Event()
        for connection in running.connections:
            for stream in connection.streams.values():
                stream.when_draining(late_told.set)
        assert late_told.is_set()
        late = client.open("GET", "/")
        assert (await client.answer(late)).body == b"hello"
        CLOCK.now += 2
        may_end.set()
        assert (await client.answer(waiting)).body == b"done"
        assert await client.closed() == ErrorCodes.NO_ERROR
        assert client.goaways[-1].last_stream_id == late
        assert await idle.closed() == ErrorCodes.NO_ERROR
        assert await draining == 0
        CLOCK.refresh()


async def test_deadline_of_the_drain(caplog: pytest.LogCaptureFixture) -> None:
    """What still runs then is cancelled, and answered 503."""
    app = make_app()
    started = asyncio.Event()

    @app.get("/wait")
    async def wait(request: Request) -> None:
        started.set()
        await asyncio.Event().wait()

    async with serving(app) as running:
        client = await running.connect()
        waiting = client.open("GET", "/wait")
        await started.wait()
        draining = asyncio.create_task(server_of(running).drain(asyncio.get_running_loop().time() + 0.05))
        await eventually(lambda: client.goaways)
        assert await draining == 1
        await client.closed()
        assert client.answers[waiting].status == 503
    assert "request cut at the deadline of the drain" in caplog.text


async def test_a_connection_that_comes_into_the_drain() -> None:
    """It is told so, and served."""
    async with serving(make_app()) as running:
        shared = server_of(running).shared
        assert shared is not None
        shared.draining = True
        client = await running.connect()
        await eventually(lambda: client.goaways)
        assert (await client.get()).status == 200
        shared.draining = False


async def test_a_client_that_says_goodbye() -> None:
    """A client's GOAWAY: what is under way is answered, then the connection ends; at once when nothing is (RFC 9113 §6.8)."""
    app = make_app()
    started, may_end = asyncio.Event(), asyncio.Event()

    @app.get("/wait")
    async def wait(request: Request) -> HTTPResponse:
        started.set()
        await may_end.wait()
        return text("done")

    async with serving(app) as running:
        idle, client = await running.connect(), await running.connect()
        assert (await idle.get()).status == 200
        waiting = client.open("GET", "/wait")
        await started.wait()
        for each in (idle, client):
            each.send_frames(GoAwayFrame(0, last_stream_id=0, error_code=0))
        assert await idle.closed() == ErrorCodes.NO_ERROR
        may_end.set()
        assert (await client.answer(waiting)).body == b"done"
        assert await client.closed() == ErrorCodes.NO_ERROR
        await eventually(lambda: not running.connections)


async def test_defects(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A request whose task ends without an answer is reset and logged; the connection goes on."""
    app = make_app()

    @app.get("/defect")
    async def defect(request: Request) -> HTTPResponse:
        await asyncio.sleep(0)
        return text("x")

    async with serving(app) as running:
        client = await running.connect()
        assert (await client.get()).status == 200

        def broken(*arguments: Any) -> None:
            raise BaseExceptionGroup("no answer", [SystemError("defect")])

        with monkeypatch.context() as patch:
            patch.setattr("fairlead.server.http2.stream.Http2Stream.respond", broken)
            assert (await client.get("/defect")).reset_code == ErrorCodes.INTERNAL_ERROR
        assert (await client.get("/defect")).status == 200
        assert "a request ended without its answer" in caplog.text


async def test_what_comes_after_the_end() -> None:
    """Frames for streams that are over, data that nobody wants, pushes of a peer that was told to go: nothing happens."""
    app = make_app()

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> HTTPResponse:
        await request.stream.read()
        return text("enough")

    async with serving(app) as running:
        client = await running.connect()
        stream_id = client.open("POST", "/upload", ends=False)
        client.send(stream_id, b"x")
        answer = client.answers[stream_id]
        await client.until(lambda: answer.reset_code is not None)
        for number in range(40):
            frames = [DataFrame(stream_id, b"x" * 10_000), WindowUpdateFrame(stream_id, window_increment=1)]
            client.send_frames(*frames, *([RstStreamFrame(stream_id, error_code=8)] if number == 39 else []))
        assert (await client.get()).status == 200
        (connection,) = running.connections
        connection.send_soon(next(iter(connection.streams.values()), None) or _finished_stream(connection))
        connection.data_received(b"")
        connection.close()
        connection.data_received(b"anything")
        connection.drain()
        await client.closed()


def _finished_stream(connection: Any) -> Any:
    from fairlead.server.http2.stream import Http2Stream

    stream = Http2Stream(connection, 1, has_client_ended=True)
    stream.outflow.put(b"too late", is_last=True)
    return stream


# The ways in


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "tls.key", folder / "tls.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"),
            *(
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
                str(key),
                "-out",
                str(chain),
            ),
        ],
        check=True,
        capture_output=True,
    )
    return CertificateFiles(chain, key)


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_over_tls(certificate: CertificateFiles, http2: bool, version: str) -> None:
    """ALPN decides, on the same port."""
    app = make_app(HTTP2=True)
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(
        app.finalise(), [listening], limits=app.config.limits(), tls=Certificates([certificate], protocols=("h2", "http/1.1"))
    )
    await server.start()
    context = ssl.create_default_context(cafile=str(certificate.certificate))
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(http2=http2, http1=not http2, verify=context, base_url=url) as client:
        for _ in range(3):
            response = await client.get("/")
            assert (response.text, response.http_version) == ("hello", version)
        answers = await asyncio.gather(*[client.get("/") for _ in range(20)])
        assert {answer.status_code for answer in answers} == {200}
    await server.drain(asyncio.get_running_loop().time() + 1)
    listening.close()


async def test_with_curl() -> None:
    """Another implementation (nghttp2): prior knowledge, a large download and a large upload."""
    app = make_app()
    large = b"0123456789" * 300_000

    @app.get("/large")
    async def download(request: Request) -> HTTPResponse:
        return HTTPResponse(large)

    @app.post("/length")
    async def length(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    async def curl(*arguments: str, data: bytes | None = None) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "-m", "10", "--http2-prior-knowledge"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(data)
        assert process.returncode == 0
        return output

    async with serving(app) as running:
        url = "http://{}:{}".format(*running.server.address)
        assert await curl("-w", "%{http_version}", f"{url}/") == b"hello2"
        assert await curl(f"{url}/large") == large
        assert await curl("--data-binary", "@-", f"{url}/length", data=large) == b"3000000"


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP2 and HTTP2_MAX_STREAMS; without the library that is one clear line."""
    limits = Config({"HTTP2": True, "HTTP2_MAX_STREAMS": 7}).limits()
    assert (limits.http2, limits.max_streams) == (True, 7)
    assert Config().limits().http2 is False
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert Config().limits().http2 is False
    with pytest.raises(ConfigurationError, match="install fairlead\\[http2\\]"):
        Config({"HTTP2": True}).limits()


def test_alpn_as_configured(certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """`h2` is offered when it is spoken."""
    from fairlead.workers import tls

    offered: list[Any] = []

    class Recorder(Certificates):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            offered.append(options["protocols"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr("fairlead.server.tls.Certificates", Recorder)
    files = {"TLS_CERT": str(certificate.certificate), "TLS_KEY": str(certificate.key)}
    for http2 in (True, False):
        tls.certificates_of(Config({**files, "HTTP2": http2}))
    assert offered == [("h2", "http/1.1"), ("http/1.1",)]


def test_off_means_not_loaded() -> None:
    """A server without HTTP/2 doesn't load it."""
    code = (
        "import sys, asyncio; from fairlead import App; from fairlead.server import Server; app = App('bare')\n"
        "async def main():\n"
        "    server = Server(app.finalise(), []); await server.start(); server.protocol()\n"
        "asyncio.run(main()); print([name for name in sys.modules if name.startswith(('h2', 'hpack', 'fairlead.server.http2'))])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    assert output.stdout.strip() == "[]"


async def test_taps_hear_http1_only(caplog: pytest.LogCaptureFixture) -> None:
    """An application that listens to connections still has its signals on HTTP/1.1 when HTTP/2 is on."""
    app = make_app()
    heard: list[str] = []

    @app.signal("http.lifecycle.begin")
    async def begin(conn_info: Any) -> None:
        heard.append(conn_info.client_ip)

    with caplog.at_level(logging.CRITICAL):
        async with serving(app) as running, httpx.AsyncClient() as client:
            assert (await client.get("http://{}:{}/".format(*running.server.address))).status_code == 200
    assert heard == ["127.0.0.1"]


async def test_a_handler_that_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no exception of a request's cuts the connection and goes on to the loop."""
    loop = asyncio.get_running_loop()
    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    async with serving(make_app()) as running:
        client = await running.connect()
        assert (await client.get()).status == 200
        (connection,) = running.connections

        def broken(data: bytes) -> None:
            raise ZeroDivisionError("a defect")

        with monkeypatch.context() as patch:
            patch.setattr(connection._guard.__class__, "feed", lambda self, data: broken(data))
            client.open()
            await eventually(lambda: connection.lost)
        connection.flush_soon()
        connection._go_away(0)
        connection._close_if_idle()
        connection.resume_writing()
        await client.closed()
    assert ["a defect" in repr(context.get("exception")) for context in contexts] == [True]


async def test_a_negotiation_that_does_not_end() -> None:
    """A peer that has said nothing is closed; one that does not take that is cut."""
    async with serving(make_app()) as running:
        reader, writer = await running.raw()
        shared = server_of(running).shared
        assert shared is not None
        await eventually(lambda: shared.connections)
        (negotiator,) = shared.connections
        negotiator.expire()
        negotiator.expire()
        assert await reader.read() == b""
        writer.close()
        await eventually(lambda: negotiator.lost)
