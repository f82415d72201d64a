"""Clients for tests: httpx on an application, in memory or over a real socket.

    async def test_hello():
        async with AsyncTestClient(app) as client:
            response = await client.get("/")
            async with client.websocket("/feed") as ws:
                await ws.send("hello")

    def test_hello():
        with TestClient(app) as client:
            assert client.get("/").text == "Hello"

`AsyncTestClient` is an `httpx.AsyncClient`, `TestClient` an `httpx.Client`: everything that httpx documents works. Entering
one starts the app with its listeners, leaving it stops the app.

`TestClient` has an event loop of its own which turns only while one of its methods runs (background tasks of the app
included); there is no thread, so that a debugger, a deadline and an exception work as in any sync code.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from fairlead.app import App
from fairlead.testing.event_reader import EventReader
from fairlead.testing.loop import LoopRunner
from fairlead.testing.network import AppTransport
from fairlead.testing.server import AppServer
from fairlead.testing.websocket import HeaderItems, Message, WebsocketClient
from fairlead.websocket.frames import Encoding

R = TypeVar("R")

BASE_URL = "http://testserver"


class AsyncTestClient(httpx.AsyncClient):
    """An async client of `app`; `live` serves it on a free port of 127.0.0.1 (see `base_url`) instead of in memory.

    Further options are those of `httpx.AsyncClient`.
    """

    __test__ = False  # pytest: not a test class, for all its name

    def __init__(self, app: App[Any, Any], *, live: bool = False, base_url: str = BASE_URL, **options: Any) -> None:
        self.app = app
        self.server = AppServer(app, live=live)
        self._live = live
        super().__init__(transport=AppTransport(self.server), base_url=base_url, **options)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self._live:
            host, port = self.server.address
            self.base_url = f"http://{host}:{port}"
        return self

    @asynccontextmanager
    async def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderItems = (),
        origin: str | None = None,
        compression: str | None = None,
    ) -> AsyncIterator[WebsocketClient]:
        """Open a websocket and close it at the end of the block; the client's own headers and cookies are sent along.

        Raises `HandshakeRefused` with the response when the server answers no 101. `compression="deflate"` offers
        permessage-deflate, `origin` sends what a browser on that page would send.
        """
        request = self.build_request("GET", url, headers=_pairs(headers))
        secure = request.url.scheme in ("https", "wss")
        ws = WebsocketClient(
            str(request.url.copy_with(scheme="wss" if secure else "ws")),
            subprotocols=subprotocols,
            headers=[(name, value) for name, value in request.headers.multi_items() if name not in _OWN_FIELDS],
            origin=origin,
            compression=compression,
        )
        await self.server.connect(lambda: ws, secure=secure)
        try:
            await ws.open()
            yield ws
            await ws.close()
        finally:
            ws.abort()

    @asynccontextmanager
    async def sse(self, url: str, *, last_event_id: str | None = None, **options: Any) -> AsyncIterator[EventReader]:
        """Open a stream of server-sent events, and leave it at the end of the block. Options are those of `stream`.

        Raises `httpx.HTTPStatusError` when the answer is none of the 2xx, AssertionError when it is no stream of events.
        """
        headers = httpx.Headers({"accept": "text/event-stream", **options.pop("headers", {})})
        if last_event_id is not None:
            headers["last-event-id"] = last_event_id
        async with self.stream(options.pop("method", "GET"), url, headers=headers, **options) as response:
            response.raise_for_status()
            kind = response.headers.get("content-type")
            assert kind == "text/event-stream", f"no stream of events: {kind}"
            yield EventReader(response)


_OWN_FIELDS = frozenset(("host", "connection", "accept", "accept-encoding"))


def _pairs(headers: HeaderItems) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


class TestClient(httpx.Client):
    """A sync client of `app`, in memory or `live`. Further options are those of `httpx.Client`."""

    __test__ = False

    def __init__(
        self,
        app: App[Any, Any],
        *,
        live: bool = False,
        loop: str = "auto",
        base_url: str = BASE_URL,
        **options: Any,
    ) -> None:
        self.app = app
        self._async = AsyncTestClient(app, live=live, base_url=base_url)
        self._bridge = _Bridge(self._async, loop)
        self.server = self._async.server
        super().__init__(transport=self._bridge, base_url=base_url, **options)

    def __enter__(self) -> Self:
        super().__enter__()
        self.base_url = self._async.base_url
        return self

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the app's loop, for tests that have to await something of the app's."""
        return self._bridge.runner.call(work)

    @contextmanager
    def websocket(self, url: str, **options: Any) -> Iterator[SyncWebsocket]:
        """As `AsyncTestClient.websocket`, with sync methods."""
        headers = httpx.Headers(self.headers)
        headers.update(options.pop("headers", {}))
        request = self.build_request("GET", url, headers=headers)
        opening = self._async.websocket(url, headers=request.headers.multi_items(), **options)
        runner = self._bridge.runner
        ws = runner.call(opening.__aenter__())
        try:
            yield SyncWebsocket(ws, runner)
        except BaseException as error:
            runner.call(opening.__aexit__(type(error), error, error.__traceback__))
            raise
        else:
            runner.call(opening.__aexit__(None, None, None))


class SyncWebsocket:
    """A `WebsocketClient` with sync methods; its attributes (`subprotocol`, `close_code` …) are read through."""

    def __init__(self, ws: WebsocketClient, runner: LoopRunner) -> None:
        self.client = self._ws = ws
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)

    def send(self, data: Any, encoding: Encoding | None = None) -> None:
        """Send a message."""
        self._runner.call(self._ws.send(data, encoding))

    def recv(self, timeout: float | None = None) -> Message:
        """The next message."""
        return self._runner.call(self._ws.recv(timeout))

    def recv_json(self, timeout: float | None = None) -> Any:
        """The next message, decoded."""
        return self._runner.call(self._ws.recv_json(timeout))

    def ping(self, data: bytes = b"") -> None:
        """Send a ping and wait for a pong."""
        self._runner.call(self._ws.ping(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait until the connection is gone."""
        self._runner.call(self._ws.close(code, reason))

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                yield self._runner.call(anext(self._ws))
            except StopAsyncIteration:
                return


class _Bridge(httpx.BaseTransport):
    """Runs the async client's transport on a loop of its own."""

    def __init__(self, client: AsyncTestClient, loop: str) -> None:
        self._client = client
        self._loop = loop
        self._runner: LoopRunner | None = None

    @property
    def runner(self) -> LoopRunner:
        """The loop, between enter and exit. RuntimeError at other times."""
        if self._runner is None:
            raise RuntimeError("the app does not run: use the client in a `with` block")
        return self._runner

    def __enter__(self) -> _Bridge:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("TestClient is for sync code; in async code use AsyncTestClient")
        self._runner = LoopRunner(self._loop)
        try:
            self._runner.call(self._client.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            self.runner.call(self._client.__aexit__(exc_type, exc_value, traceback))
        finally:
            self._end()

    def _end(self) -> None:
        runner, self._runner = self.runner, None
        runner.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        content = _AsyncContent(request.stream)
        outgoing = httpx.Request(
            request.method, request.url, headers=request.headers, stream=content, extensions=request.extensions
        )
        transport = self._client._transport
        response = self.runner.call(transport.handle_async_request(outgoing))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_SyncBody(response.stream, self.runner),
            extensions=response.extensions,
        )


class _AsyncContent(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._stream:
            yield part


class _SyncBody(httpx.SyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, runner: LoopRunner) -> None:
        self._stream = stream
        self._parts = stream.__aiter__()
        self._runner = runner

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                yield self._runner.call(_next(self._parts))
            except StopAsyncIteration:
                return

    def close(self) -> None:
        self._runner.call(self._stream.aclose())


async def _next(parts: AsyncIterator[bytes]) -> bytes:
    return await anext(parts)
