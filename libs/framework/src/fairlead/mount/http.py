"""One request to a mounted application.

The application runs in a task of its own, for two reasons. It may go on after its response (background tasks), while the
connection is to take up the next request. And ASGI applications learn of a client that leaves by `http.disconnect`, many finish
what they have begun then; our own handlers are cancelled. So the handler's cancellation is not the application's: that one hears
the message, and has `LEAVE_S` to come to its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fairlead.errors import FairleadException, RequestCancelled, ServerError
from fairlead.http.headers import Headers
from fairlead.http.status import has_no_body
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.streaming import ResponseStream
from fairlead.types import ASGIApplication, Message, Scope

logger = logging.getLogger("fairlead.mount")

StartTask = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]

LEAVE_S = 10.0
"""How long an application may go on for a client that has left."""

DISCONNECT = {"type": "http.disconnect"}


class ResponseWriter:
    """Makes a streamed response of `{prefix}.start` and `{prefix}.body` messages."""

    def __init__(self, request: Request[Any, Any], prefix: str = "http.response") -> None:
        self._request = request
        self._prefix = prefix
        self._start: Message | None = None
        self._stream: ResponseStream | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all of it is."""
        return self._stream is not None and self._stream.ended

    async def take(self, message: Message) -> None:
        """Send it on, and wait while the client reads too slowly.

        Raises RuntimeError for what is out of turn, `RequestCancelled` when the client is gone, ValueError and `ServerError` for
        what can't be sent.
        """
        if message["type"] == f"{self._prefix}.start" and self._start is None:
            self._start = message
            return
        if message["type"] != f"{self._prefix}.body" or self._start is None or self.is_complete:
            raise RuntimeError(f"a mounted application sent {message['type']!r} out of turn")
        body, is_last = bytes(message.get("body", b"")), not message.get("more_body", False)
        if self._stream is None:
            self._stream = await self._begin(self._start, body, is_last)
        await self._stream.send(body, end_stream=is_last)

    async def _begin(self, start: Message, body: bytes, is_whole: bool) -> ResponseStream:
        headers = Headers.from_raw((bytes(name), bytes(value)) for name, value in start.get("headers", ()))
        status = int(start["status"])
        if is_whole and "content-length" not in headers and self._request.method != "HEAD" and not has_no_body(status):
            headers["content-length"] = len(body)
        return await self._request.respond(HTTPResponse(None, status, headers))


class HttpConversation:
    """Runs the application for one request; `start` makes the tasks for that."""

    def __init__(self, request: Request[Any, Any], start: StartTask) -> None:
        self._request = request
        self._start = start
        self._response = ResponseWriter(request)
        self._has_body = True
        self._is_over = asyncio.Event()  # for the application: the response is complete, or the client gone
        self._is_decided = asyncio.Event()  # for the handler: there is nothing more to wait for
        self._failure: FairleadException | None = None
        self._is_lost = False

    async def run(self, application: ASGIApplication, scope: Scope) -> None:
        """Returns when the response is complete. Raises what the application raised before, and what its body's reading met."""
        task = self._start(self._call(application, scope))
        task.add_done_callback(lambda task: self._is_decided.set())
        try:
            await self._is_decided.wait()
        except RequestCancelled:
            self._leave()
            self._start(_within(task, LEAVE_S))
            raise
        except asyncio.CancelledError:  # a time-out, or the end of a drain
            await _end(task)
            raise
        if self._is_lost:
            self._start(_within(task, LEAVE_S))
            raise RequestCancelled("the client is gone")
        if self._failure is not None:
            await _end(task)
            raise self._failure
        if not task.done():
            task.add_done_callback(_log_failure)
            return
        task.result()
        if not self._response.is_complete:
            raise ServerError("A mounted application ended without a whole response")

    async def _call(self, application: ASGIApplication, scope: Scope) -> None:
        await application(scope, self._receive, self._send)

    def _leave(self) -> None:
        self._is_lost = True
        self._is_over.set()
        self._is_decided.set()

    async def _receive(self) -> Message:
        if self._has_body:
            stream = self._request.stream
            assert stream is not None
            try:
                chunk = await stream.read()
            except RequestCancelled:
                self._leave()
                return DISCONNECT
            except FairleadException as exc:  # too long, too slow, malformed: that is ours to answer
                self._has_body = False
                self._failure = exc
                self._is_over.set()
                self._is_decided.set()
                return DISCONNECT
            self._has_body = chunk is not None
            return {"type": "http.request", "body": chunk or b"", "more_body": self._has_body}
        await self._is_over.wait()
        return DISCONNECT

    async def _send(self, message: Message) -> None:
        if self._is_lost or self._failure is not None:
            await asyncio.sleep(0)  # nobody hears it; who sends without end must still see the others have a turn
            return
        try:
            await self._response.take(message)
        except RequestCancelled:
            self._leave()
        if self._response.is_complete:
            self._is_over.set()
            self._is_decided.set()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("a mounted application failed after its response", exc_info=task.exception())


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])


async def _within(task: asyncio.Task[None], time_s: float) -> None:
    """Let a task whose client has left come to its end; what it raises about that is nobody's concern."""
    try:
        async with asyncio.timeout(time_s):
            await task
    except Exception as exc:
        logger.debug("a mounted application ended after its client had left", exc_info=exc)
