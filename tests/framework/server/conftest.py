"""A real server on a free loopback port, and clients that speak literal bytes to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from fairlead import App
from fairlead.server import Server
from fairlead.server.connection import HttpConnection


class Peer:
    """A raw connection: bytes out, bytes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """The next response head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """The next response with a Content-Length: status, headers, body."""
        lines = (await self.head()).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        received = b""
        with suppress(ConnectionResetError):
            while piece := await self.reader.read(65536):
                received += piece
        return received

    def close(self) -> None:
        """Close our side."""
        self.writer.close()


class RunningServer:
    """A server that serves an app, and the way to connect to it."""

    def __init__(self, app: App, server: Server, port: int) -> None:
        self.app = app
        self.server = server
        self.port = port
        self._peers: list[Peer] = []

    async def connect(self) -> Peer:
        """A new raw connection."""
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self._peers.append(peer)
        return peer

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes, end our side, and return everything that comes back."""
        peer = await self.connect()
        await peer.send(data)
        peer.writer.write_eof()
        return await peer.rest()

    def connections(self) -> list[HttpConnection]:
        """The server's side of what is open."""
        shared = self.server.shared
        return list(shared.connections) if shared is not None else []

    async def stop(self) -> None:
        """Drain at once."""
        if not self.server.draining:
            await self.server.drain(asyncio.get_running_loop().time())
        for peer in self._peers:
            peer.close()


def listening_socket() -> socket.socket:
    """A socket that listens on a free loopback port."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


Serve = Callable[[App], "asyncio.Future[RunningServer]"]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(app)` serves an app for the length of the test."""
    running: list[tuple[RunningServer, socket.socket]] = []

    async def start(app: App) -> RunningServer:
        listening = listening_socket()
        server = Server(app.finalise(), [listening], limits=app.config.limits())
        await app.startup()
        await server.start()
        running.append((RunningServer(app, server, listening.getsockname()[1]), listening))
        return running[-1][0]

    yield start  # type: ignore[misc]
    for served, listening in running:
        await served.stop()
        await served.app.shutdown()
        listening.close()
