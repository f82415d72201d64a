"""httpx on an `AppServer`: real HTTP/1.1 bytes, written and parsed by httpcore and h11, over a connection of our own.

h11 is a strict parser, so a malformed response fails the test that receives it. Keep-alive, streaming in both directions
and time-outs are httpcore's, as for any client.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from fairlead.testing.server import AppServer
from fairlead.testing.transport import MemoryTransport


class _Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore wants it."""

    def __init__(self, transport: asyncio.Transport, protocol: _StreamProtocol) -> None:
        self._transport = transport
        self._reader = protocol.reader
        self._writer = asyncio.StreamWriter(transport, protocol, protocol.reader, asyncio.get_running_loop())

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError:
            raise httpcore.WriteTimeout from None
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        if not isinstance(self._transport, MemoryTransport):
            self._writer.close()
            raise httpcore.ConnectError("a live test server speaks no TLS")
        self._transport.pretend_tls()  # in memory there is nobody to hide from
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection: whether the server has closed it
            return self._reader.at_eof() or self._transport.is_closing()
        return self._transport.get_extra_info(info)


class _StreamProtocol(asyncio.StreamReaderProtocol):
    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        super().__init__(self.reader)


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to the server, whatever host is asked for."""

    def __init__(self, server: AppServer) -> None:
        self._server = server

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        transport, protocol = await self._server.connect(_StreamProtocol)
        return _Stream(transport, protocol)


class AppTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=…)`; entering it starts the app, leaving it stops the app."""

    def __init__(self, server: AppServer) -> None:
        self._server = server
        self._pool = httpcore.AsyncConnectionPool(network_backend=_Backend(server), max_connections=100, keepalive_expiry=60)

    async def __aenter__(self) -> AppTransport:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._pool.aclose()  # idle connections first: the drain need not wait for them
        await self._server.__aexit__(*exc)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection of the pool."""
        url = request.url
        with _errors():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        assert isinstance(response.stream, AsyncIterable)
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _errors() -> Iterator[None]:
    """httpcore's exceptions as httpx's, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
