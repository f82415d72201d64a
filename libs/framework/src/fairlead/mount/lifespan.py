"""Start and stop of a mounted application: one task that plays the lifespan protocol with it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fairlead.types import MOUNTED, ASGIApplication, Message

logger = logging.getLogger("fairlead.mount")


class Lifespan:
    """`await start()` before the first request, `await stop()` after the last one. An application without lifespan has neither."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._task: asyncio.Task[Any] | None = None
        self._incoming: asyncio.Queue[Message]
        self._answer: asyncio.Future[Message]
        self.state: dict[str, Any] | None = None
        """What the application has put into `scope["state"]` at its start; every request gets a copy. None without lifespan."""

    async def start(self) -> None:
        """Raises RuntimeError with the application's cause when it can't start."""
        self._incoming = asyncio.Queue()
        state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state, "extensions": {MOUNTED: {}}}
        self._task = asyncio.create_task(self._application(scope, self._incoming.get, self._send))  # type: ignore[arg-type]
        answer = await self._ask("lifespan.startup")
        if answer is None:
            self._task = None  # it has no lifespan: most say so by an exception, as the specification allows
        elif answer["type"] == "lifespan.startup.failed":
            task, self._task = self._task, None
            await asyncio.wait([task])
            cause = None if task.cancelled() else task.exception()
            raise RuntimeError(f"a mounted application could not start: {answer.get('message') or repr(cause)}") from cause
        else:
            self.state = state

    async def stop(self) -> None:
        """What goes wrong is logged: the others still stop."""
        task, self._task = self._task, None
        if task is None:
            return
        answer = await self._ask("lifespan.shutdown", task)
        await asyncio.wait([task])
        failure = None if task.cancelled() else task.exception()
        if failure is not None or (answer is not None and answer["type"] == "lifespan.shutdown.failed"):
            message = answer.get("message", "") if answer is not None else ""
            logger.error("a mounted application could not stop in order: %s", message, exc_info=failure)

    async def _ask(self, question: str, task: asyncio.Task[Any] | None = None) -> Message | None:
        """Its answer; None when it has ended without one."""
        task = task or self._task
        assert task is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._incoming.put_nowait({"type": question})
        try:
            await asyncio.wait([self._answer, task], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if self._answer.done():
            return self._answer.result()
        logger.info("a mounted application has no lifespan", exc_info=None if task.cancelled() else task.exception())
        return None

    async def _send(self, message: Message) -> None:
        if not self._answer.done():
            self._answer.set_result(message)
