"""One HTTP/1.1 connection.

How it works. Bytes come in through `data_received`. Between two messages a complete head is looked for; the common ones are judged
in one go (`http/head.py`), and a connection remembers its last header block, because clients repeat theirs (equal bytes, equal
verdict). The request is then handed to the runner at once, and the responses of one `data_received` leave in one write.

States, and what the deadline means in each:

    IDLE        nothing has come since the last response          keep-alive time-out: close
    HEAD        a part of a head is in the buffer                 header time-out: 408
    BODY        the head is read, the body is being collected     body time-out: 408
    HANDLING    the handler waits for something; what the client  response time-out: 503, the handler is cancelled;
                sends meanwhile (pipelining) is kept, bounded     body time-out while a streamed body comes: 408
    HELD        requests wait in the buffer: the client does not  none: the write time-out counts
                read its answers, or others have their turn first
    UPGRADED    a websocket has the transport                     its own sweep
    LINGERING   answered and half-closed; the rest of what the    two seconds, then the end
                client is still sending is thrown away, because
                closing at once would destroy the answer (RST)
    CLOSING     answered for the last time; what was written is   write time-out: cut
                on its way, and what still comes is ignored

There are no timers per connection: the server's sweep compares `deadline` once a second, and `write_deadline`, which runs while
the transport is over its high-water mark. It is not the time for everything, but for anything: a peer that reads slowly is served.

One request at a time: HTTP/1.1 answers in order, so a second one only starts when the first has been answered. The answers to
what came in one packet leave in one write, but no more than `REQUESTS_PER_TURN` of them and no body that is large; then the peer
has to read before more is taken up. Otherwise 64 KiB of requests could ask for gigabytes of answers that nobody reads.
"""

from __future__ import annotations

import asyncio
import logging
import re
from math import inf
from typing import TYPE_CHECKING, Any

from fairlead.errors import (
    FairleadException,
    HeadersTooLarge,
    PayloadTooLarge,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServiceUnavailable,
)
from fairlead.http.clock import CLOCK
from fairlead.http.head import Head, origin_form, read_any, read_line, read_plain, request_id_of
from fairlead.http.media import PROBLEM_JSON
from fairlead.http.problem import encode_problem, problem_of
from fairlead.http.status import has_no_body
from fairlead.http.wire import CONTINUE, LENGTHS, OK_HEADS, encode_head
from fairlead.request import ConnectionInfo, Request, current_request
from fairlead.response import HTTPResponse
from fairlead.server.body import BodyReader
from fairlead.server.link import BODY, CLOSING, HANDLING, HEAD, HELD, IDLE, LINGERING, UPGRADED, Link
from fairlead.server.sink import ResponseSink
from fairlead.streaming import RequestStream, ResponseStream

if TYPE_CHECKING:
    from fairlead.server.server import Shared

logger = logging.getLogger("fairlead.server")

LINGER_S = 2.0

REQUESTS_PER_TURN = 32
"""So many requests of one packet are answered in a row; then other connections have their turn."""

WRITE_AT_ONCE = 65536
"""Bytes of a response that is written by itself: collecting many of them would fill the memory before the peer can hold it up."""

# A request line that needs no second look: a known method, a target in origin form of visible ASCII without "#" (RFC 9112 §3.2).
_USUAL_LINE = re.compile(rb'(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-"$-~]*) HTTP/1\.1(?=\r\n)').match


class HttpConnection(Link):
    """The protocol object of a connection, and the `Exchange` of its requests."""

    __slots__ = (
        "_body",
        "_buffer",
        "_head",
        "_info",
        "_max_head_bytes",
        "_request",
        "_shows_id",
        "_start",
        "_task",
        "_timed_out",
        "idle_since",
        "session",
    )

    def __init__(self, shared: Shared) -> None:
        # for the connection
        super().__init__(shared, final=not shared.limits.keep_alive_timeout_s)
        self._start = shared.runner.start
        self._max_head_bytes = shared.limits.max_head_bytes
        self._shows_id = shared.limits.request_id_header
        self._info: ConnectionInfo | None = None
        self._head: Head | None = None
        self.session: Any = None
        self.idle_since = CLOCK.now
        # for the request under way
        self._buffer = b""
        self._body: BodyReader | None = None
        self._request: Request[Any, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timed_out = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        shared = self.shared
        shared.connections.add(self)
        if shared.limits.max_connections and len(shared.connections) > shared.limits.max_connections:
            self._refuse(ServiceUnavailable("Too many connections", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.shared.connections.discard(self)
        self.shared.changed()
        if self._info is not None:
            self._info.lost = True
        self._wake()
        if self.session is not None:
            self.session.connection_lost(exc)
            return
        if self._body is not None:
            self._body.fail(RequestCancelled("the client is gone"))
        if self._task is not None:
            self._task.cancel("the client is gone")

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
        draining = shared.draining
        out = self._out = []
        position, size = 0, len(data)
        try:
            for _ in range(REQUESTS_PER_TURN):
                end = data.find(b"\r\n\r\n", position)
                if end < 0:
                    self._keep_partial_head(data[position:])
                    break
                found = _USUAL_LINE(data, position)
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
                if head is None or head.block != block or end - position > self._max_head_bytes:
                    head = self._read_head(data[position:line_end], block)
                if found is None or head.version != "1.1":
                    method, target, head = self._read_unusual_line(data[position:line_end], block, head)
                position = end + 4
                request: Request[Any, Any] = Request(shared.app, self, method, target, head, b"")
                request.id = request_id_of(head)
                length = head.length
                if (length or head.chunked) and (head.chunked or size - position < length or length > shared.limits.max_body_bytes):
                    left = self._begin_body(request, data[position:])
                    if left is None:
                        break
                    data, position, size = left, 0, len(left)
                else:
                    if length:
                        request.body = data[position : position + length]
                        position += length
                    if draining and position == size:  # what was pipelined is answered too; the last one says it is that
                        self.final = True
                    task = self._start(request, self._finished)
                    if task is not None:
                        self._handle(request, task)
                        self._keep(data[position:])
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
            self._refuse(exc)
        except BaseException:  # a defect, or the end of the process: nobody knows what has been answered
            self.abort()
            raise
        finally:
            self._out = None
            if out and not self.lost:
                self._write(out[0] if len(out) == 1 else b"".join(out))
            if self.state is not IDLE or self._paused:
                self._settle()

    def _received_meanwhile(self, data: bytes) -> None:
        state = self.state
        if state is UPGRADED:
            self.session.data_received(data)
        elif state is BODY or (state is HANDLING and self._body is not None):
            rest = self._read_body(data)
            if rest is not None:
                self._go_on(rest)
        elif state is HANDLING or state is HELD:
            self._keep(data)

    def _hold(self, rest: bytes) -> None:
        """Take up no further request before `_take_up`."""
        self.state, self.deadline, self._buffer = HELD, inf, rest

    def _take_up(self) -> None:
        """The peer reads again, or the others had their turn: go on with what was held."""
        if self.state is HELD and not self._paused and not self.lost:
            self._go_on(b"")

    def _settle(self) -> None:
        """What the new state asks for, now that everything is written."""
        state = self.state
        if state is LINGERING:
            self._half_close()
        elif state is CLOSING:
            self.deadline = CLOCK.now + self.shared.limits.write_timeout_s
            self._unread = self.transport.get_write_buffer_size()
            self.transport.close()
        elif state is HELD:
            self.shared.loop.call_soon(self._take_up)
        elif self._paused and (state is IDLE or state is HEAD):
            self._hold(self._buffer)

    # Reading

    def _read_unusual_line(self, line: bytes, block: bytes, head: Head) -> tuple[bytes, bytes, Head]:
        method, target, version = read_line(line)
        if version != head.version:  # a remembered block under another version means something else
            head = read_any(line, block, self.shared.limits.max_header_fields)
        return method, *origin_form(target, head)

    def _read_head(self, line: bytes, block: bytes) -> Head:
        limits = self.shared.limits
        if len(line) + len(block) > limits.max_head_bytes:
            raise self._too_large(line)
        head = read_plain(block, limits.max_header_fields)
        if head is None:
            return read_any(line, block, limits.max_header_fields)
        self._head = head
        return head

    def _too_large(self, start: bytes) -> FairleadException:
        if b"\r\n" not in start and len(start) > self.shared.limits.max_head_bytes // 2:
            return FairleadException("The request target is too long", 414)
        return HeadersTooLarge(f"The head passes {self.shared.limits.max_head_bytes} bytes")

    def _keep_partial_head(self, rest: bytes) -> None:
        limits = self.shared.limits
        if len(rest) > limits.max_head_bytes:
            raise self._too_large(rest)
        if rest.count(b"\n") != rest.count(b"\r\n"):
            raise FairleadException("Lines of a head end with CR LF", 400)
        if self.state is not HEAD:
            self.state = HEAD
            self.deadline = CLOCK.now + limits.header_timeout_s
        self._buffer = rest

    def _keep(self, data: bytes) -> None:
        """Keep what came while a request is being handled, and stop reading when that is much."""
        if data and self.session is not None:  # frames that came in one packet with the handshake
            self.session.data_received(data)
        elif data:
            self._buffer += data
            if len(self._buffer) > self.shared.limits.max_pipelined_bytes:
                self.transport.pause_reading()

    # Bodies that don't come with their head

    def _begin_body(self, request: Request[Any, Any], data: bytes) -> bytes | None:
        """Start on a body, of which `data` is here. The bytes after the message, if it was answered; None to wait."""
        shared, head = self.shared, request.head
        route = shared.application.find(request)
        limit = shared.limits.max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
        if route is shared.application.missing:
            self.final = True  # the body will not be read
            self._run(request)
            return None
        if head.length > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        body = self._body = BodyReader(head, limit, awaits_continue=head.expects_continue and not data)
        self._request = request
        if route.stream:
            self.final |= shared.draining
            request.stream = body.stream = RequestStream(limit=limit, resume=self._wants_body)
            if not self._run(request):
                self._end(request)  # answered, and a part of the body isn't in
                return None
        else:
            self.state = BODY
            self.deadline = CLOCK.now + shared.limits.body_timeout_s
            self._wants_body()
        return self._read_body(data) if data else None

    def _wants_body(self) -> None:
        """The body is wanted: tell a client that waits for this, and read on."""
        body = self._body
        assert body is not None
        if body.awaits_continue:
            body.awaits_continue = False
            self._send(CONTINUE)
        if not self.transport.is_reading():
            self.transport.resume_reading()

    def _read_body(self, data: bytes) -> bytes | None:
        """Take a part of the body. The bytes after the message, if it was answered; None to wait."""
        body, request = self._body, self._request
        assert body is not None
        assert request is not None
        try:
            wants_more, rest = body.feed(data)
        except FairleadException as exc:
            if body.stream is None:
                self._body = None
                self._refuse(exc)
            else:
                self._fail_body(exc)
            return None
        if body.ended:
            self._body = None
        if body.stream is not None:
            if self.deadline is not inf:  # a stream may take as long as it likes, as long as it comes
                self.deadline = CLOCK.now + self._handling_timeout_s
            if not wants_more:
                self.transport.pause_reading()
            self._keep(rest)
            return None
        if not body.ended:
            return None
        request.body, self._request = body.collected(), None
        self.final |= self.shared.draining and not rest
        if self._run(request):
            self._keep(rest)
            return None
        return rest if request.head.keep_alive and not self.final else None

    def _fail_body(self, exc: FairleadException) -> None:
        """A streamed body can't come to its end: the handler is told so, and answers."""
        assert self._body is not None
        self._body.fail(exc)
        self._body = None
        self.final = True

    # Handling

    def _run(self, request: Request[Any, Any]) -> bool:
        """Run a request; True when its handler waits for something."""
        task = self._start(request, self._finished)
        if task is not None:
            self._handle(request, task)
        return task is not None

    def _handle(self, request: Request[Any, Any], task: asyncio.Task[None]) -> None:
        self._request, self._task, self._timed_out = request, task, False
        if self.state is not UPGRADED:
            self.state = HANDLING
            if request._response is None:  # else `begin_stream` has lifted the deadline
                self.deadline = CLOCK.now + self._handling_timeout_s

    @property
    def _handling_timeout_s(self) -> float:
        limits = self.shared.limits
        return limits.response_timeout_s if self._body is None else limits.body_timeout_s

    def _finished(self, task: asyncio.Task[None]) -> None:
        """The request that had waited is over: take up the next."""
        request, self._task, self._request = self._request, None, None
        failure = None if task.cancelled() else task.exception()
        if self.lost:
            return
        assert request is not None
        if failure is not None or task.cancelled():  # nobody knows what has been answered
            token = current_request.set(request)  # whose id the logs show
            logger.error("a request ended without its answer", exc_info=failure)
            current_request.reset(token)
            self.abort()
        elif self.state is UPGRADED:
            return
        elif self.final or self._body is not None or not request.head.keep_alive:
            self._end(request)
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
    def info(self) -> ConnectionInfo:
        """Addresses of both sides, looked up when first asked for."""
        info = self._info
        if info is None:
            get = self.transport.get_extra_info
            info = self._info = ConnectionInfo(get("peername"), get("sockname"), get("sslcontext") is not None)
            info.lost = self.lost
        return info

    @property
    def upgraded(self) -> bool:
        """Whether the request became a websocket."""
        return self.session is not None

    def respond(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        """Write a whole response."""
        head, body = request.head, response.body
        size = len(body)
        shows_id = self._shows_id
        keep_alive = head.keep_alive and not self.final and self._body is None
        if response._headers is None and response.status == 200 and head.ordinary and keep_alive and request.raw_method != b"HEAD":
            length = LENGTHS[size] if size < 4096 else b"%d\r\n" % size
            lines = (CLOCK.date_and_id, request.id.encode(), b"\r\n\r\n") if shows_id else (CLOCK.date_line, b"\r\n")
            data = b"".join((OK_HEADS[response.content_type], length, *lines, body))
        else:
            extra = b"x-request-id: " + request.id.encode() + b"\r\n" if shows_id else b""
            data = self._encode(request, response, extra, keep_alive)
        out = self._out
        if out is not None and size < WRITE_AT_ONCE:
            out.append(data)
        else:
            self.send_now(data)
        if not keep_alive:
            self.close_after(request)

    def _encode(self, request: Request[Any, Any], response: HTTPResponse, extra: bytes, keep_alive: bool) -> bytes:
        status, body = response.status, response.body
        length = len(body)
        head_only = request.raw_method == b"HEAD"
        headers = response._headers
        if head_only and not body and headers is not None and headers.get("content-length", "").isdecimal():
            length = int(headers["content-length"])
        head = encode_head(
            status,
            response.content_type,
            headers,
            length,
            keep_alive=keep_alive,
            extra=extra,
            http_1_0=request.head.version == "1.0",
        )
        return head if head_only or has_no_body(status) else head + body

    def begin_stream(self, request: Request[Any, Any], response: HTTPResponse) -> ResponseStream:
        """A response in pieces."""
        self.deadline = inf  # a stream may take as long as it likes; a peer that doesn't read is the write time-out's matter
        return ResponseStream(ResponseSink(self, request), response)

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the handler was cancelled, as an answer; None when there is nobody to answer."""
        if self.lost or self.session is not None:
            return None
        self.final = True
        if self._timed_out:
            return ServiceUnavailable("The response took too long", extra={"route": request.uri_template})
        return ServiceUnavailable("The request was cancelled by the server")

    async def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Any:
        """Turn the connection into a websocket; see `server/upgrade.py`."""
        from fairlead.server.upgrade import open_websocket

        if self.lost:
            raise RequestCancelled("the client is gone")
        self.session = open_websocket(self, request, options)
        self.state, self.final = UPGRADED, True
        self.deadline = self.write_deadline = inf
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
        if self._body is not None:
            self._body.awaits_continue = False

    def close_after(self, request: Request[Any, Any]) -> None:
        """This was the last response. A handler that still runs is let finish."""
        self.final = True
        self.answer_begins()
        if self._task is None:
            self._end(request)

    def _end(self, request: Request[Any, Any]) -> None:
        """Answered for the last time. A client that may still be sending (a body, more requests) hears the answer out."""
        if self._body is not None:
            self._fail_body(ServerError("The request was answered before its body was read"))
        self.final = True
        self.state = LINGERING if request.head.length or request.head.chunked or self._buffer else CLOSING
        if self._out is None:
            self._settle()

    def _refuse(self, exc: FairleadException) -> None:
        """Answer what never became a request, and end the connection."""
        self.shared.refused[exc.status_code] = self.shared.refused.get(exc.status_code, 0) + 1
        response = HTTPResponse(encode_problem(problem_of(exc)), exc.status_code, exc.headers, PROBLEM_JSON)
        head = encode_head(response.status, response.content_type, response._headers, len(response.body), keep_alive=False)
        self._send(head + response.body)
        self.final = True
        self.state = LINGERING
        if self._out is None:
            self._settle()

    def _half_close(self) -> None:
        self.deadline = CLOCK.now + LINGER_S
        self._body, self._request, self._buffer = None, None, b""
        self.shared.changed()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
            if not self.transport.is_reading():
                self.transport.resume_reading()
        else:
            self.close()

    def close(self) -> None:
        """End, as soon as the peer has taken what was written."""
        self.state = CLOSING
        self._settle()

    # The server's side

    def expire(self) -> None:
        """A deadline has passed."""
        state = self.state
        if self.write_deadline <= CLOCK.now or state is CLOSING:
            self._expire_writing()
        elif state is HEAD and self._buffer.strip():
            self._refuse(RequestTimeout("The head did not arrive in time"))
        elif state is BODY:
            self._refuse(RequestTimeout("The body did not arrive in time"))
        elif state is HANDLING:
            self._expire_handling()
        else:
            self.close()

    def _expire_handling(self) -> None:
        """Whose time is over: the client's who doesn't send on, or the handler's? One that ignores that is cut next time."""
        assert self._task is not None
        self.deadline = CLOCK.now + self.shared.limits.response_timeout_s
        if self._body is not None and self.transport.is_reading():
            self._fail_body(RequestTimeout("The body did not arrive in time"))
        elif self._timed_out:
            self.abort()
        else:
            self._timed_out = True
            self._task.cancel("the response took too long")

    @property
    def is_idle(self) -> bool:
        """Nothing has come since the last response, but perhaps an empty line."""
        return self.state is IDLE or (self.state is HEAD and not self._buffer.strip())

    @property
    def request(self) -> Request[Any, Any] | None:
        """The request that waits for its handler."""
        return self._request if self._task is not None else None

    def drain(self) -> None:
        """The server is stopping: answer what has come, the last of it with `Connection: close`; what was idle ends at once."""
        if self._task is not None and not self._buffer:
            self.final = True
        last_used = max(self.idle_since, self.deadline - self.shared.limits.keep_alive_timeout_s)
        if self.state is IDLE and last_used < CLOCK.now - 1:
            self.close()
