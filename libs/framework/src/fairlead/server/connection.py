"""One HTTP/1.1 connection.

How it works. Bytes come in through `data_received`. Between two messages a complete head is looked for; the common ones are judged
in one go (`http/head.py`), and a connection remembers the last one, because clients repeat theirs, in whole or but for the request
line (equal bytes, equal verdict). The request is handed to the runner at once; responses of one `data_received` leave in one write.

Its states, and how it ends, are in `server/link.py`; bodies that come in parts in `server/upload.py`; requests that wait in
`server/handling.py`.

One request at a time: HTTP/1.1 answers in order, so a second one only starts when the first has been answered. The answers to
what came in one packet leave in one write, but no more than `REQUESTS_PER_TURN` of them and no body that is large; then the peer
has to read before more is taken up. Otherwise 64 KiB of requests could ask for gigabytes of answers that nobody reads.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from fairlead.errors import (
    FairleadException,
    RequestCancelled,
    RequestTimeout,
    ServerError,
)
from fairlead.http.clock import CLOCK
from fairlead.http.head import Head, check_partial, read_any, read_plain, read_unusual, too_large
from fairlead.http.wire import LENGTHS, OK_HEADS
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.server.answer import encode_answer
from fairlead.server.handling import Handling
from fairlead.server.link import BODY, CLOSING, HANDLING, HEAD, HELD, IDLE, LINGERING, UPGRADED, Link
from fairlead.server.shared import Shared
from fairlead.server.sink import ResponseSink
from fairlead.server.upload import Upload, begin_upload
from fairlead.streaming import ResponseStream

REQUESTS_PER_TURN = 32
"""So many requests of one packet are answered in a row; then other connections have their turn."""

_TURN = range(REQUESTS_PER_TURN)

_NO_HEAD = Head(b"-")
"""Equals none that is read: they begin with CRLF, or are empty."""

_NOTHING: tuple[()] = ()
"""What no bytes start with."""

WRITE_AT_ONCE = 65536
"""Bytes of a response that is written by itself: collecting many of them would fill the memory before the peer can hold it up."""


class HttpConnection(Link):
    """The protocol object of a connection, and the `Exchange` of its requests."""

    __slots__ = (
        "_buffer",
        "_head",
        "_max_head_bytes",
        "_repeated",
        "_request_line",
        "_shows_id",
        "handling",
        "idle_since",
        "session",
        "upload",
    )

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared, final=not shared.limits.keep_alive_timeout_s)
        self._max_head_bytes = shared.limits.max_head_bytes
        self._shows_id = shared.limits.request_id_header
        self._head = _NO_HEAD
        """The last one that was plain: a block that equals its own means the same."""
        self._repeated: bytes | tuple[()] = _NOTHING
        """That head as it came, with a usual line before it. What begins with these bytes is read already."""
        self._request_line = b"", b""  # method and target of `_repeated`
        self.session: Any = None
        self.idle_since = CLOCK.now
        self._buffer = b""
        self.upload: Upload | None = None
        """The body that is being read, when it doesn't come with its head."""
        self.handling: Handling | None = None
        """The request whose handler waits."""

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        shared = self.shared
        shared.connections.add(self)
        refusal = shared.admission.enter(self)
        if refusal is not None:
            self.refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.shared.connections.discard(self)
        self.shared.admission.leave(self)
        self.shared.changed()
        if self._info is not None:
            self._info.lost = True
        self._wake()
        if self.session is not None:
            self.session.connection_lost(exc)
            return
        if self.upload is not None:
            self.upload.fail(RequestCancelled("the client is gone"))
        if self.handling is not None:
            self.handling.client_left()

    def eof_received(self) -> bool:
        """The client has ended its side. That is taken for leaving, as proxies do: a half-close can't be told from a close."""
        if self.session is not None:
            self.session.eof_received()
            return True
        return False

    def pause_writing(self) -> None:
        self._paused = True
        self._unread = self.transport.get_write_buffer_size()
        self.write_deadline = CLOCK.now + self.shared.limits.write_timeout_s
        if self.session is not None:
            self.session.pause_writing()
        elif self._out is None and (self.state is IDLE or self.state is HEAD):
            self._hold(self._buffer)

    def resume_writing(self) -> None:
        self._paused = False
        self.write_deadline = inf
        if self.session is not None:
            self.session.resume_writing()
        self._wake()
        self._take_up()

    def data_received(self, data: bytes) -> None:
        """Take as many messages from the data as are complete, and answer them in one write.

        PERF: this is the whole way from the loop to the runner; a helper between them would be a tenth of a request's time.
        """
        if self.state is not IDLE:
            if self.state is not HEAD:
                self._received_meanwhile(data)
                return
            data, self._buffer = self._buffer + data, b""
        shared = self.shared
        out = self._out = []
        position, size = 0, len(data)
        try:
            for _ in _TURN:
                # PERF: the same head again is known by one comparison: 70 ns in place of 470, of 3,500 for a small request
                if data.startswith(self._repeated, position):
                    position += len(self._repeated)
                    method, target = self._request_line
                    head = self._head
                else:
                    end = data.find(b"\r\n\r\n", position)
                    if end < 0:
                        self._keep_partial_head(data[position:])
                        break
                    found = shared.usual_line(data, position)
                    if found is not None:
                        line_end = found.end()
                        method, target = found.groups()
                    else:
                        line_end = data.find(b"\r\n", position, end)
                        if line_end < 0:
                            line_end = end
                        if line_end == position:  # an empty line before the request line (RFC 9112 §2.2)
                            position += 2
                            continue
                    block = data[line_end:end]
                    head = self._head
                    if head.block != block or end - position > self._max_head_bytes:
                        head = self._read_head(data[position:line_end], block)
                    if found is None or head.version != "1.1":
                        method, target, head = read_unusual(data[position:line_end], block, head, shared.limits)
                    elif head is self._head:
                        self._repeated, self._request_line = data[position : end + 4], (method, target)
                    position = end + 4
                request = shared.request_class(shared.app, self, method, target, head, b"")
                length = head.length
                if (length or head.chunked) and (head.chunked or size - position < length or length > shared.limits.max_body_bytes):
                    left = begin_upload(self, request, data[position:])
                    if left is None:
                        break
                    data, position, size = left, 0, len(left)
                else:
                    if length:
                        request.body = data[position : position + length]
                        position += length
                    if shared.draining and position == size:  # what was pipelined is answered too; the last one says it is that
                        self.final = True
                    task = shared.runner.start(request, self)
                    if task is not None:
                        self._handle(request, task)
                        self.keep(data[position:])
                        break
                    if self.final or not head.keep_alive:
                        break
                if position == size:
                    self.state = IDLE
                    self.deadline = CLOCK.now + shared.limits.keep_alive_timeout_s
                    break
                if self._paused:
                    self._hold(data[position:])
                    break
            else:
                self._hold(data[position:])
        except FairleadException as exc:
            self.refuse(exc)
        except BaseException:  # a defect, or the end of the process: nobody knows what has been answered
            self.abort()
            raise
        finally:
            self._out = None
            if out and not self.lost:
                self._write(out[0] if len(out) == 1 else b"".join(out))
            if self.state is not IDLE or self._paused:
                self.settle()

    def _received_meanwhile(self, data: bytes) -> None:
        state = self.state
        if self.upload is not None:
            rest = self.upload.receive(data)
            if rest is not None:
                self._go_on(rest)
        elif state is HANDLING or state is HELD:
            self.keep(data)

    def _hold(self, rest: bytes) -> None:
        """Take up no further request before `_take_up`."""
        self.state, self.deadline, self._buffer = HELD, inf, rest

    def _take_up(self) -> None:
        """The peer reads again, or the others had their turn: go on with what was held."""
        if self.state is HELD and not self._paused and not self.lost:
            self._go_on(b"")

    def settle(self) -> None:
        """What the new state asks for, now that everything is written."""
        state = self.state
        if state is LINGERING or state is CLOSING:
            self.upload, self._buffer = None, b""
            self.end_transport()
        elif state is HELD:
            self.shared.loop.call_soon(self._take_up)
        elif self._paused and (state is IDLE or state is HEAD):
            self._hold(self._buffer)

    # Reading

    def _read_head(self, line: bytes, block: bytes) -> Head:
        limits = self.shared.limits
        if len(line) + len(block) > limits.max_head_bytes:
            raise too_large(line, limits)
        head = read_plain(block, limits.max_header_fields)
        if head is None:
            return read_any(line, block, limits.max_header_fields)
        self._head, self._repeated = head, _NOTHING
        return head

    def _keep_partial_head(self, rest: bytes) -> None:
        limits = self.shared.limits
        check_partial(rest, limits)
        if self.state is not HEAD:
            self.state = HEAD
            self.deadline = CLOCK.now + limits.header_timeout_s
        self._buffer = rest

    def keep(self, data: bytes) -> None:
        """Keep what came while a request is being handled, and stop reading when that is much."""
        if data and self.session is not None:  # frames that came in one packet with the handshake
            self.session.data_received(data)
        elif data:
            self._buffer += data
            if len(self._buffer) > self.shared.limits.max_pipelined_bytes:
                self.transport.pause_reading()

    # Handling

    def run(self, request: Request[Any, Any]) -> bool:
        """Run a request; True when its handler waits for something."""
        task = self.shared.runner.start(request, self)
        if task is not None:
            self._handle(request, task)
        return task is not None

    def _handle(self, request: Request[Any, Any], task: asyncio.Task[None]) -> None:
        self.handling = Handling(self, request, task)
        if self.state is not UPGRADED:
            self.state = HANDLING
            self.handling.renew_deadline()

    def finished(self, task: asyncio.Task[None]) -> None:
        """The request that had waited is over: take up the next."""
        handling, self.handling = self.handling, None
        failure = None if task.cancelled() else task.exception()
        if self.lost:
            return
        assert handling is not None
        request = handling.request
        if failure is not None or task.cancelled():  # nobody knows what has been answered
            handling.report(failure)
            self.abort()
        elif self.state is UPGRADED:
            return
        elif self.final or self.upload is not None or not request.head.keep_alive:
            self.end(request)
        else:
            self._go_on(b"")

    def _go_on(self, data: bytes) -> None:
        """Everything that came before is answered. Take up the buffer, and `data` after it."""
        data, self._buffer = self._buffer + data, b""
        self.idle_since = CLOCK.now
        if self._paused:
            self._hold(data)
            return
        self.state = IDLE
        self.deadline = CLOCK.now + self.shared.limits.keep_alive_timeout_s
        if not self.transport.is_reading():
            self.transport.resume_reading()
        if data:
            self.data_received(data)

    # Exchange: what requests use

    @property
    def upgraded(self) -> bool:
        """Whether the request became a websocket."""
        return self.session is not None

    def respond(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        """Write a whole response."""
        head, body, is_last = request.head, response.body, self.final or self.upload is not None
        size = len(body)
        if response.status == 200 and response._headers is None and not is_last and head.ordinary and request.raw_method != b"HEAD":
            length = LENGTHS[size] if size < 4096 else b"%d\r\n" % size
            if self._shows_id:
                pieces = (OK_HEADS[response.content_type], length, CLOCK.date_and_id, request.id.encode(), b"\r\n\r\n", body)
                data = b"".join(pieces)
            else:
                data = b"".join((OK_HEADS[response.content_type], length, CLOCK.date_line, b"\r\n", body))
        else:
            is_last = is_last or not head.keep_alive
            extra = b"x-request-id: " + request.id.encode() + b"\r\n" if self._shows_id else b""
            data = encode_answer(request, response, keep_alive=not is_last, extra=extra)
        out = self._out
        if out is not None and size < WRITE_AT_ONCE:
            out.append(data)
        else:
            self.send_now(data)
        if is_last:
            self.close_after(request)

    def begin_stream(self, request: Request[Any, Any], response: HTTPResponse) -> ResponseStream:
        """A response in pieces."""
        if self.upload is None or not self.upload.is_wanted:
            self.deadline = inf  # a stream may take as long as it likes; a peer that doesn't read is the write time-out's matter
        sink = ResponseSink(self, request)
        return ResponseStream(sink if request.span is None else request.span.watch_stream(sink), response)

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the handler was cancelled, as an answer; None when there is nobody to answer."""
        if self.lost or self.session is not None:
            return None
        self.final = True
        assert self.handling is not None
        return self.handling.why_cancelled()

    async def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Any:
        """Turn the connection into a websocket; see `server/upgrade.py`."""
        from fairlead.server.upgrade import open_websocket

        if self.lost:
            raise RequestCancelled("the client is gone")
        self.session = open_websocket(self, request, options)
        self.session.inbox.waiter.identity = self.shared.runner.identity()
        self.state, self.final = UPGRADED, True
        self._head, self._repeated = _NO_HEAD, _NOTHING
        del self._write  # the websocket writes by itself
        self.deadline = inf
        if self._paused:
            self.session.pause_writing()
        if not self.transport.is_reading():
            self.transport.resume_reading()
        rest, self._buffer = self._buffer, b""
        if rest:
            self.session.data_received(rest)
        return self.session

    # Writing and ending

    def answer_begins(self) -> None:
        """From here on a 100 would stand in the middle of the answer."""
        if self.upload is not None:
            self.upload.send_no_continue()

    def close_after(self, request: Request[Any, Any]) -> None:
        """This was the last response. A handler that still runs is let finish."""
        self.final = True
        self.answer_begins()
        if self.handling is None:
            self.end(request)

    def end(self, request: Request[Any, Any]) -> None:
        """Answered for the last time. A client that may still be sending (a body, more requests) hears the answer out."""
        if self.upload is not None:
            self.upload.fail(ServerError("The request was answered before its body was read"))
        self.begin_end(LINGERING if request.head.length or request.head.chunked or self._buffer else CLOSING)

    # The server's side

    def expire(self) -> None:
        """A deadline has passed."""
        state = self.state
        if self.write_deadline <= CLOCK.now or state is CLOSING:
            self._expire_writing()
        elif state is HEAD and self._buffer.strip():
            self.refuse(RequestTimeout("The head did not arrive in time"))
        elif state is BODY:
            self.refuse(RequestTimeout("The body did not arrive in time"))
        elif state is HANDLING:
            assert self.handling is not None
            self.handling.expire()
        else:
            self.close()

    @property
    def is_idle(self) -> bool:
        """Nothing has come since the last response, but perhaps an empty line."""
        return self.state is IDLE or (self.state is HEAD and not self._buffer.strip())

    @property
    def request(self) -> Request[Any, Any] | None:
        """The request that waits for its handler."""
        return self.handling.request if self.handling is not None else None

    def drain(self) -> None:
        """The server is stopping: answer what has come, the last of it with `Connection: close`; what was idle ends at once."""
        if self.handling is not None and not self._buffer:
            self.final = True
        last_used = max(self.idle_since, self.deadline - self.shared.limits.keep_alive_timeout_s)
        if self.state is IDLE and last_used < CLOCK.now - 1:
            self.close()
