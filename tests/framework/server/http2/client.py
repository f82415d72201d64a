"""A client on the client half of `h2`, over a real socket, that does what a test says and keeps what the server says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from hyperframe.frame import Frame, GoAwayFrame

from fairlead import App
from fairlead.server.http2.connection import Http2Connection
from fairlead.testing.server import AppServer

WAIT_S = 5.0
Fields = list[tuple[str, str]]


async def eventually(is_so: Callable[[], object]) -> None:
    """Wait for a state of the server that nothing tells of."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Answer:
    """What has come on one stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.informational: list[int] = []
        self.has_ended = False
        self.reset_code: int | None = None


class Http2Client:
    """One connection. With `takes_data` False no window is ever given back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, validates: bool = True) -> None:
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=validates,
                normalize_outbound_headers=validates,
            )
        )
        self.h2._frame_dispatch_table[GoAwayFrame] = self._hear_goaway  # type: ignore[index]
        self.answers: dict[int, Answer] = defaultdict(Answer)
        self.goaways: list[GoAwayFrame] = []
        self.takes_data = True
        self.is_closed = False
        self._reader = reader
        self._writer = writer
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self.h2.receive_data(data):
                    self._note(event)
                self.flush()
                self._changed.set()
        except ConnectionResetError:
            pass
        finally:
            self.is_closed = True
            self._changed.set()

    def _hear_goaway(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Go on: the library would take no frame after it, as if what is under way were lost."""
        self.goaways.append(frame)
        return [], []

    def _note(self, event: Event) -> None:
        answer = self.answers[getattr(event, "stream_id", None) or 0]
        if isinstance(event, ResponseReceived):
            headers: Any = event.headers
            answer.headers = dict(headers)
            answer.status = int(answer.headers.pop(":status"))
        elif isinstance(event, InformationalResponseReceived):
            information: Any = event.headers
            answer.informational.append(int(dict(information)[":status"]))
        elif isinstance(event, DataReceived):
            answer.body += event.data or b""
            if self.takes_data and event.flow_controlled_length and event.stream_id:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            answer.has_ended = True
        elif isinstance(event, StreamReset):
            answer.reset_code = int(event.error_code)

    # Sending

    def flush(self) -> None:
        """Send what the library has."""
        data = self.h2.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)

    def write(self, data: bytes) -> None:
        """Send bytes past the library."""
        self.flush()
        self._writer.write(data)

    def send_frames(self, *frames: Frame) -> None:
        """Send frames past the library."""
        self.write(b"".join(frame.serialize() for frame in frames))

    def fields(self, method: str = "GET", path: str = "/", *more: tuple[str, str]) -> Fields:
        """The fields of a request."""
        return [(":method", method), (":scheme", "http"), (":authority", "shop.example"), (":path", path), *more]

    def open(self, method: str = "GET", path: str = "/", *more: tuple[str, str], ends: bool = True) -> int:
        """Send a head; the stream's number."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, self.fields(method, path, *more), end_stream=ends)
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, ends: bool = False) -> None:
        """Send data that fits into the window."""
        self.h2.send_data(stream_id, data, end_stream=ends)
        self.flush()

    async def upload(self, stream_id: int, data: bytes) -> None:
        """Send a whole body as the windows allow."""
        while data:
            size = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(data))
            if size:
                self.send(stream_id, data[:size], ends=size == len(data))
                data = data[size:]
            else:
                await self.until(lambda: self.h2.local_flow_control_window(stream_id) > 0)

    def pause(self) -> None:
        """Read nothing for now."""
        self._reader._transport.pause_reading()  # type: ignore[attr-defined]

    def go_on(self) -> None:
        """Read again."""
        self._reader._transport.resume_reading()  # type: ignore[attr-defined]

    # Waiting

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that the server's frames change."""
        async with asyncio.timeout(WAIT_S):
            while not is_so():
                assert not self.is_closed, f"the server has closed: {self.goaways}"
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, stream_id: int) -> Answer:
        """The answer of a stream, when it has ended or was reset."""
        answer = self.answers[stream_id]
        await self.until(lambda: answer.has_ended or answer.reset_code is not None)
        return answer

    async def get(self, path: str = "/", *more: tuple[str, str], method: str = "GET") -> Answer:
        """A whole exchange without a body."""
        return await self.answer(self.open(method, path, *more))

    async def closed(self) -> int | None:
        """Wait for the server's close; the code of its last GOAWAY."""
        async with asyncio.timeout(WAIT_S):
            while not self.is_closed:
                self._changed.clear()
                await self._changed.wait()
        return int(self.goaways[-1].error_code) if self.goaways else None

    async def close(self) -> None:
        """Leave."""
        self._task.cancel()
        self._writer.close()
        await asyncio.wait([self._task])


class Running:
    """A server that speaks HTTP/2, in this loop."""

    def __init__(self, server: AppServer) -> None:
        self.server = server
        self._clients: list[Http2Client] = []

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which nothing has been said."""
        return await asyncio.open_connection(*self.server.address)

    async def connect(self, *, validates: bool = True) -> Http2Client:
        """A client whose preface is sent."""
        client = Http2Client(*await self.raw(), validates=validates)
        client.h2.initiate_connection()
        client.flush()
        self._clients.append(client)
        return client

    @property
    def connections(self) -> list[Http2Connection]:
        """The server's side of what is open."""
        assert self.server._server is not None
        assert self.server._server.shared is not None
        return [each for each in self.server._server.shared.connections if isinstance(each, Http2Connection)]

    def sweep(self) -> None:
        """What the server does once a second."""
        assert self.server._server is not None
        self.server._server.sweep()

    async def leave(self) -> None:
        """Close all clients."""
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def serving(app: App[Any, Any]) -> AsyncIterator[Running]:
    """Serve an app whose configuration has HTTP/2 on."""
    app.config.HTTP2 = True
    async with AppServer(app, live=True) as server:
        running = Running(server)
        try:
            yield running
        finally:
            await running.leave()
