"""From the open websocket to its end: runs a handler and turns the way it ends into a close code."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Mapping, Sequence
from types import CoroutineType, MappingProxyType
from typing import Any, Final

from fairlead.errors import FairleadException, ServiceUnavailable, WebsocketClosed
from fairlead.request import Request
from fairlead.types import Handler
from fairlead.websocket.websocket import Websocket

DONE: Final = 1000
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

RETRY_MS: Final = (500, 3000)
"""Between these the clients of a draining server are told to come back."""

_logger = logging.getLogger("fairlead.websocket")


async def serve(
    request: Request[Any, Any],
    opening: Awaitable[Websocket],
    handler: Handler,
    values: Sequence[Any] = (),
    named: Mapping[str, Any] = MappingProxyType({}),
) -> BaseException | None:
    """Await `opening`, whose refusal is raised; run `handler(request, ws, *values, **named)`; close, and return when the connection
    is gone. What the handler has raised is returned, since it is settled with that:

    - It returns: 1000. It raises `WebsocketClosed` (alone or in an exception group): the peer, or the handler itself,
      has closed; nothing is logged as an error.
    - It raises another `FairleadException`: 1008 with the message as reason for a status below 500, 1013 for 503, 1011
      otherwise. Any other exception: logged, 1011 without a reason.
    - It is cancelled (the drain's deadline): 1012, and the cancellation goes on.
    - It still runs `close_timeout_s` after the connection was lost, without having touched the websocket: it is
      cancelled, so that nobody waits for ever in the name of a client that has left. Its `finally` blocks run.

    PERF: the only coroutine around what runs the handler. Each has a frame for as long as the websocket is open, 0.3 KiB.
    """
    ws = await opening
    del opening  # a coroutine keeps its frame as long as it is kept itself
    failure: BaseException | None = None
    ws.ending.watch(ws.close_timeout_s)
    try:
        result = handler(request, ws, *values, **named)
        if isinstance(result, CoroutineType):
            await ws.inbox.waiter.conduct(result)
        elif inspect.isawaitable(result):
            await result
        ws.close_soon(DONE)
    except asyncio.CancelledError as error:
        ws.close_soon(*ending_of(error))
        if not ws.ending.has_cancelled():
            raise
        failure = error
    except Exception as error:
        ws.close_soon(*ending_of(error))  # nothing is left to close after `WebsocketClosed`, unless it came from another websocket
        if not (_is_only_closed(error) or (isinstance(error, FairleadException) and error.quiet)):
            _logger.error("websocket handler failed", exc_info=True)
        failure = error
    finally:
        ws.ending.unwatch()
    await ws.wait_closed()
    _logger.info("websocket closed", extra={"route": request.uri_template, "code": ws.close_code, "reason": ws.close_reason})
    try:
        return failure
    finally:
        failure = None  # its traceback holds this frame


def ending_of(error: BaseException) -> tuple[int, str]:
    """The close code and reason for what a handler raised; see `serve`."""
    if _is_only_closed(error):
        return DONE, ""
    if isinstance(error, ServiceUnavailable):
        return TRY_AGAIN_LATER, error.message
    if isinstance(error, FairleadException):
        return (POLICY_VIOLATION if error.status_code < 500 else INTERNAL_ERROR), error.message
    if isinstance(error, asyncio.CancelledError):
        return SERVICE_RESTART, restart_reason()
    return INTERNAL_ERROR, ""


def restart_reason() -> str:
    """The reason of a drain's 1012: when to come back, each client at another moment, so that the others can take them in."""
    return f"service restart, retry in {random.randint(*RETRY_MS)} ms"


def _is_only_closed(error: BaseException) -> bool:
    if isinstance(error, WebsocketClosed):
        return True
    return isinstance(error, ExceptionGroup) and error.split(WebsocketClosed)[1] is None
