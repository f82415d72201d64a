"""The relay: moves committed rows of the outbox into Redis streams, in order, one relay of a service at a time.

How this works. Every worker runs one, and each is in one of these states:

    STANDING BY ──(lock acquired)──▶ LEADING ──(PostgreSQL lost, or stopped)──▶ the session ends, and with it the lock
         ▲                                                                          │
         └──────────────────────────(back-off, a new session)───────────────────────┘

A leader publishes batches until nothing is left, then waits for NOTIFY; the poll after `POLL_INTERVAL_S` is for a
notification that never came and for a connection that died in silence. A batch is one MULTI/EXEC: Redis takes all of
it or, when it is out of memory, read-only or gone, nothing, so no event overtakes one before it. An answer that never
came counts as a refusal; the batch is sent again, with the same event ids.

While Redis is away the leader stays the leader and tries again with back-off. A stop waits for the batch that has
begun, so an orderly stop repeats nothing.

Rejected: a position to read on from (rows become visible in the order of their commits, not of their numbers: a late
one would be skipped for ever), handing the lock over when Redis fails (all workers would take turns at failing, each
with a log line).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fairlead.errors import ServiceUnavailable
from fairlead.outbox.entry import CHANNEL, Entry
from fairlead.outbox.outage import Outage
from fairlead.outbox.session import RELEASED, TAKEOVER_INTERVAL_S, Session, open_session
from fairlead.redis_library import RedisError
from fairlead.telemetry.metrics import registry
from fairlead.telemetry.tracing import message_span, unobserved

if TYPE_CHECKING:
    from fairlead.app import App
    from fairlead.postgres import Database
    from fairlead.redis_library import Redis

__all__ = ["Relay", "attach"]

T = TypeVar("T")

BATCH_SIZE: Final = 500
"""Entries per MULTI/EXEC: Redis serves nobody else meanwhile, and 500 take it about a millisecond."""

MAX_STREAM_LENGTH: Final = 100_000
"""Entries that a stream keeps, roughly (``MAXLEN ~``): what a consumer may be late by."""

POLL_INTERVAL_S: Final = 2.0

STOP_TIMEOUT_S: Final = 2.0
"""How long a stop waits for the batch that has begun, and then for PostgreSQL to hear of it."""

PUBLISHED: Final = registry.counter("outbox_published_total", "Events that Redis has taken.", labels=("stream",))
PENDING: Final = registry.gauge("outbox_pending_rows", "Committed events that Redis has not taken yet.")

logger = logging.getLogger("fairlead.outbox")


def attach(app: App[Any, Any], database: Database, redis: Redis, *, max_stream_length: int = MAX_STREAM_LENGTH) -> Relay:
    """Run a relay in each worker of `app`, from its start until its shutdown cancels the tasks.

    Attach `database` and `redis` first, so that they outlive the relay; it keeps one connection of `database` for itself.
    The table comes from `fairlead.outbox.schema`.
    """
    relay = Relay(database, redis, max_stream_length=max_stream_length)
    app.add_task(relay.run, name="outbox-relay")
    return relay


class Relay:
    """One worker's relay: `run` it as a task, cancel the task to stop it."""

    def __init__(
        self,
        database: Database,
        redis: Redis,
        *,
        batch_size: int = BATCH_SIZE,
        max_stream_length: int = MAX_STREAM_LENGTH,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self.is_leading = False
        self.outage = Outage("outbox relay", logger)
        self._database = database
        self._redis = redis
        self._batch_size = batch_size
        self._max_stream_length = max_stream_length
        self._poll_interval_s = poll_interval_s

    async def run(self) -> None:
        """Stand by or lead until cancelled; whatever fails is tried again."""
        while True:
            try:
                with unobserved():
                    async with open_session(self._database) as session:
                        await self._stand_by(session)
                        await self._lead(session)
            except Exception as error:
                if _is_cancelled():  # leaving the session failed as well; that must not swallow the cancellation
                    raise asyncio.CancelledError from error
                await asyncio.sleep(self.outage.failed(error, is_expected=isinstance(error, ServiceUnavailable)))

    async def _stand_by(self, session: Session) -> None:
        async with session.listening(RELEASED):
            while not await session.try_acquire():
                self.outage.over()
                await session.wait(TAKEOVER_INTERVAL_S)

    async def _lead(self, session: Session) -> None:
        """Publish until the session is lost or the task is cancelled."""
        self.is_leading = True
        try:
            async with session.listening(CHANNEL):
                PENDING.set(await session.count())
                while True:
                    if not await self._publish(session):
                        await session.wait(self._poll_interval_s)
        except asyncio.CancelledError:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await session.release()
            raise
        finally:
            self.is_leading = False
            PENDING.set(0)

    async def _publish(self, session: Session) -> bool:
        """Publish one batch; True when there is reason to go on at once. When Redis refuses, waits for the back-off."""
        try:
            count = await _finished(self._move_batch(session))
        except RedisError as error:
            delay_s = self.outage.failed(error, is_expected=True)
            PENDING.set(await session.count())
            await asyncio.sleep(delay_s)
            return True
        self.outage.over()
        is_full = count == self._batch_size
        PENDING.set(max(0, PENDING.labels().value - count) if is_full else 0)
        return is_full

    async def _move_batch(self, session: Session) -> int:
        entries = await session.oldest(self._batch_size)
        if not entries:
            return 0
        answers = await self._add(entries)
        taken = [entry for entry, answer in zip(entries, answers, strict=True) if not isinstance(answer, Exception)]
        await session.delete(taken)
        for entry in taken:
            PUBLISHED.labels(entry.stream).inc()
        for answer in answers:
            if isinstance(answer, Exception):  # a stream's key holds something else: its events stay, the others went
                raise answer
        return len(entries)

    async def _add(self, entries: list[Entry]) -> list[Any]:
        """Add all entries or none; the answers are ids, or the error of an entry whose key is no stream."""
        pipeline = self._redis.pipeline(transaction=True)
        for entry in entries:
            with message_span("send", entry.stream, entry.traceparent) as traceparent:
                fields = {**entry.fields(), "traceparent": traceparent}
                pipeline.xadd(entry.stream, fields, maxlen=self._max_stream_length, approximate=True)
        return await pipeline.execute(raise_on_error=False)


async def _finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; a cancellation waits for it first, at most `STOP_TIMEOUT_S`."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=STOP_TIMEOUT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
