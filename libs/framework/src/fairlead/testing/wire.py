"""A wire between a client and a real server that a test can cut, mend and silence.

How this works. A `Wire` listens on a port of its own and carries bytes to the server that a URL names; the client is
given `Wire.url`. An outage is then a matter of one line, while the server keeps running and keeps its data:

    async with Wire(postgres_url) as wire:
        database = Database(wire.url)
        await wire.cut()        # connections are reset, new ones refused: the server died
        await wire.mend()       # the same address answers again
        wire.silence()          # connections stay, nothing passes: the host vanished, or the network drops packets

Rejected: mocks of drivers (they raise what their author expected), stopping the server itself (slow, and every other
test that uses it fails too).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Wire"]

CHUNK_BYTES: Final = 65536


class Wire:
    """A TCP relay to the host and port of `url`; enter it to have it mended, leave it to have it cut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[Any]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    @property
    def url(self) -> str:
        """The given URL, by way of this wire: user, password and path stay. Known once the wire was mended."""
        credentials, at, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}"))

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Accept connections, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def silence(self) -> None:
        """Keep the connections, and accept new ones, but carry nothing."""
        self._flowing.clear()

    def speak(self) -> None:
        """Carry on, with what was held back."""
        self._flowing.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        ends = [writer]
        try:
            there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
            ends.append(back)
            pumps = [asyncio.create_task(self._pump(*way)) for way in ((reader, back), (there, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):  # the server is really away, or the wire was cut
            for end in ends:
                end.transport.abort()
        finally:
            for end in ends:
                end.close()
            self._connections.discard(connection)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
