"""A load client that knows the fate of each request: raw sockets, no retries, nothing rounded.

Several kinds of clients run side by side, until they are told to stop or find that nobody listens any more: keep-alive, a new
connection for each request, pipelined, and long requests; websockets and event streams are held open beside them, and have to be
ended as their protocol says: with a close code, with a last chunk. A request has *failed* when it was sent, or its connection was
made, and no whole 200 with the pid of a worker came back. A connection that the kernel refuses is counted on its own: nothing was
sent, and whoever balances the load takes another pod. When the service is to stay up, a refusal is a failure.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Failure", "Load", "Mix", "Tally"]

PIPELINE_DEPTH = 8
ANSWER_LIMIT_S = 30.0


@dataclass(frozen=True)
class Mix:
    """How many clients of each kind."""

    keep_alive: int = 4
    new_connection: int = 3
    pipelined: int = 1
    long: int = 3
    websockets: int = 5
    streams: int = 2
    long_s: float = 0.7


@dataclass(frozen=True)
class Failure:
    """One request that got no whole answer. `pid` is the worker of the connection's last answer, 0 if there was none."""

    style: str
    how: str
    pid: int
    time_s: float


@dataclass
class Tally:
    """What became of all requests."""

    answered: int = 0
    refused: int = 0
    failures: list[Failure] = field(default_factory=list)
    close_codes: Counter[int] = field(default_factory=Counter)
    ended_streams: int = 0
    """Event streams that came to their proper end before the client's."""
    last_answer_s: float = 0.0
    pids: set[int] = field(default_factory=set)

    def answer(self, pid: int) -> None:
        """A whole 200."""
        self.answered += 1
        self.pids.add(pid)
        self.last_answer_s = time.monotonic()


class Connection:
    """One connection to the service. The answers' worker is remembered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = 0
        self.is_last = False

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Connection:
        """Raises ConnectionRefusedError when nobody listens."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    @property
    def certificate(self) -> int:
        """The serial number of what the server showed. Only of a connection with TLS."""
        shown: dict[str, Any] = self._writer.get_extra_info("peercert")
        return int(shown["serialNumber"], 16)

    def send(self, path: str, count: int = 1, *, close: bool = False) -> None:
        """Send requests in one write."""
        last = "Connection: close\r\n" if close else ""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: chaos\r\n{last}\r\n".encode() * count)

    async def answer(self) -> int:
        """The pid that answers; raises `BadAnswer`, and what sockets raise."""
        async with asyncio.timeout(ANSWER_LIMIT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        self.is_last = b"connection: close" in head
        if not head.startswith(b"http/1.1 200 "):
            raise BadAnswer(head[9:12].decode())
        self.pid = int(body)
        return self.pid

    async def upgrade(self) -> None:
        """Make it a websocket."""
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        self._writer.write(f"GET /ws HTTP/1.1\r\nHost: chaos\r\n{upgrade}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BadAnswer(head[9:12].decode())

    async def stream(self) -> None:
        """Ask for an event stream, and read until its last chunk."""
        self._writer.write(b"GET /events HTTP/1.1\r\nHost: chaos\r\n\r\n")
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BadAnswer(head[9:12].decode())
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            self.pid = _pid_in(await self._reader.readexactly(size + 2)) or self.pid
        await self._reader.readexactly(2)

    async def close_code(self) -> int:
        """Wait for the end of a websocket; 1006 is an end without a close frame."""
        try:
            head = await self._reader.readexactly(2)
            payload = await self._reader.readexactly(head[1] & 127)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006
        if head[0] != 0x88:
            return await self.close_code() if head[0] == 0x89 else 1002
        self._writer.write(bytes((0x88, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
        return int.from_bytes(payload[:2], "big")

    def close(self) -> None:
        """Leave."""
        self._writer.transport.abort() if self._writer.is_closing() else self._writer.close()


def _pid_in(event: bytes) -> int:
    """The pid in an event's data; 0 for a heartbeat or a farewell."""
    return int(event.partition(b"data: ")[2].partition(b"\n")[0] or 0)


class BadAnswer(Exception):
    """An answer, but not a 200."""


LOST = (ConnectionError, asyncio.IncompleteReadError, TimeoutError, BadAnswer)


class Load:
    """Sustained load on a port: `start`, later `stop` and read the `tally`."""

    def __init__(self, port: int, mix: Mix | None = None, *, may_end: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.tally = Tally()
        self.may_end = may_end
        """True once a refused connection is no failure: the service was asked to stop."""
        self._port = port
        self._mix = mix or Mix()
        self._tls = tls
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> Load:
        """Begin."""
        mix = self._mix
        kinds: list[tuple[int, str, Callable[[str], Coroutine[Any, Any, None]]]] = [
            (mix.keep_alive, "keep-alive", self._keep_alive),
            (mix.new_connection, "new connection", self._new_connections),
            (mix.pipelined, "pipelined", self._pipelined),
            (mix.long, "long", self._long),
            (mix.websockets, "websocket", self._websocket),
            (mix.streams, "event stream", self._stream),
        ]
        self._tasks = [asyncio.create_task(client(style)) for count, style, client in kinds for _ in range(count)]
        return self

    async def until(self, answered: int) -> None:
        """Wait until that many requests were answered in all."""
        while self.tally.answered < answered:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def stop(self) -> Tally:
        """Let every client finish its request."""
        self._stopping.set()
        return await self.ended()

    async def ended(self) -> Tally:
        """Wait until every client has ended: for a service that is going away."""
        await asyncio.gather(*self._tasks)
        return self.tally

    async def _keep_alive(self, style: str) -> None:
        await self._connections(style, "/", requests=200)

    async def _new_connections(self, style: str) -> None:
        await self._connections(style, "/", requests=1)

    async def _pipelined(self, style: str) -> None:
        await self._connections(style, "/", requests=50, depth=PIPELINE_DEPTH)

    async def _long(self, style: str) -> None:
        await self._connections(style, f"/slow/{self._mix.long_s}", requests=20)

    async def _connections(self, style: str, path: str, requests: int, depth: int = 1) -> None:
        while not self._stopping.is_set():
            connection = await self._connect(style)
            if connection is None:
                if self.may_end:
                    return
                continue
            await self._converse(connection, style, path, requests, depth)
            connection.close()

    async def _connect(self, style: str) -> Connection | None:
        try:
            return await Connection.open(self._port, self._tls)
        except OSError as error:
            self.tally.refused += 1
            if not self.may_end:
                self._failed(style, f"connect: {type(error).__name__}", 0)
                await asyncio.sleep(0.05)
            return None

    async def _converse(self, connection: Connection, style: str, path: str, requests: int, depth: int) -> None:
        for number in range(1, requests + 1):
            connection.send(path, depth, close=number == requests and depth == 1)
            for position in range(depth):
                try:
                    self.tally.answer(await connection.answer())
                except LOST as error:
                    for _ in range(position, depth):
                        self._failed(style, _described(error), connection.pid)
                    return
            if connection.is_last or self._stopping.is_set():
                return

    async def _websocket(self, style: str) -> None:
        while not self._stopping.is_set():
            connection = await self._connect(style)
            if connection is None:
                if self.may_end:
                    return
                continue
            try:
                await connection.upgrade()
            except BadAnswer as answer:  # an honest no, before anything was begun: the same as a refused connection
                self.tally.refused += 1
                if not self.may_end:
                    self._failed(style, _described(answer), 0)
                continue
            except LOST as error:
                self._failed(style, _described(error), 0)
                continue
            closed = asyncio.create_task(connection.close_code())
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([closed, stopped], return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                self.tally.close_codes[closed.result()] += 1
                self.tally.last_answer_s = time.monotonic()
            for task in (closed, stopped):
                task.cancel()
            connection.close()

    async def _stream(self, style: str) -> None:
        while not self._stopping.is_set():
            connection = await self._connect(style)
            if connection is None:
                if self.may_end:
                    return
                continue
            ended = asyncio.create_task(connection.stream())
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if ended.cancel():  # it still ran: the client leaves first
                connection.close()
                return
            try:
                ended.result()
            except BadAnswer as answer:  # an honest no, before anything was begun
                self.tally.refused += 1
                if not self.may_end:
                    self._failed(style, _described(answer), connection.pid)
            except LOST as error:
                self._failed(style, _described(error), connection.pid)
            else:
                self.tally.ended_streams += 1
                self.tally.last_answer_s = time.monotonic()
            connection.close()

    def _failed(self, style: str, how: str, pid: int) -> None:
        self.tally.failures.append(Failure(style, how, pid, time.monotonic()))


def _described(error: BaseException) -> str:
    return f"status {error}" if isinstance(error, BadAnswer) else type(error).__name__
