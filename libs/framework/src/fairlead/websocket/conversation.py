"""From the open websocket to its end: runs a handler and turns the way it ends into a close code."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Mapping, Sequence
from types import CoroutineType
from typing import Any, Final

from fairlead.errors import FairleadException, ServiceUnavailable, WebsocketClosed
from fairlead.request import Request
from fairlead.types import Handler
from fairlead.websocket.session import Websocket

DONE: Final = 1000
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

RETRY_MS: Final = (500, 3000)
"""Between these the clients of a draining server are told to come back."""

_logger = logging.getLogger("fairlead.websocket")


async def serve(
    request: Request[Any, Any], ws: Websocket, handler: Handler, parameters: Mapping[str, Any], values: Sequence[Any] = ()
) -> BaseException | None:
    """Run `handler(request, ws, *values, **parameters)` and close the websocket; returns when the connection is gone.

    Gives what the handler has raised, if it has raised anything; everybody but the caller has been told then:

    - It returns: 1000. It raises `WebsocketClosed` (alone or in an exception group): the peer, or the handler itself,
      has closed; nothing is logged as an error.
    - It raises another `FairleadException`: 1008 with the message as reason for a status below 500, 1013 for 503, 1011
      otherwise. Any other exception: logged, 1011 without a reason.
    - It is cancelled (the drain's deadline): 1012, and the cancellation goes on.
    - It still runs `close_timeout_s` after the connection was lost, without having touched the websocket: it is
      cancelled, so that nobody waits for ever in the name of a client that has left. Its `finally` blocks run.
    """
    failure: BaseException | None = None
    watch = _Watch(ws)
    try:
        result = handler(request, ws, *values, **parameters)
        if isinstance(result, CoroutineType):
            await ws.inbox.waiter.conduct(result)
        elif inspect.isawaitable(result):
            await result
        ws.close_soon(DONE)
    except WebsocketClosed as error:
        failure = error
        ws.close_soon(DONE)  # closed already, unless it came from another websocket
    except FairleadException as error:
        failure = error
        ws.close_soon(*ending_of(error))
        if not error.quiet:
            _logger.error("websocket handler failed", exc_info=True)
    except asyncio.CancelledError as error:
        failure = error
        ws.close_soon(*ending_of(error))
        if not watch.has_cancelled():
            raise
    except Exception as error:
        failure = error
        ws.close_soon(*ending_of(error))
        if not _is_only_closed(error):
            _logger.error("websocket handler failed", exc_info=True)
    finally:
        watch.end()
    await ws.wait_closed()
    _logger.info("websocket closed", extra={"route": request.uri_template, "code": ws.close_code, "reason": ws.close_reason})
    return failure


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


class _Watch:
    """Cancels the running task when it outlives its connection for too long."""

    def __init__(self, ws: Websocket) -> None:
        task = asyncio.current_task()
        assert task is not None  # a handler is always run in one
        self._ws = ws
        self._task = task
        self._timer: asyncio.TimerHandle | None = None
        self._has_cancelled = False
        ws.finished.add_done_callback(self._on_lost)

    def has_cancelled(self) -> bool:
        """Whether the cancellation that has just arrived is ours alone."""
        return self._has_cancelled and self._task.uncancel() == 0

    def end(self) -> None:
        self._ws.finished.remove_done_callback(self._on_lost)
        if self._timer is not None:
            self._timer.cancel()

    def _on_lost(self, finished: asyncio.Future[None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._ws.close_timeout_s, self._cancel)

    def _cancel(self) -> None:
        self._has_cancelled = True
        self._task.cancel("the websocket's connection is gone")
