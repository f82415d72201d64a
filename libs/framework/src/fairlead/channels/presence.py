"""How many are here, over all workers and pods.

How this works. Nobody counts the whole: each worker reports how many *it* has, and the tally adds the reports up. A
report is valid for a short time (`ttl_s` of the tally) and is repeated every `heartbeat_s`, so a worker that was
killed disappears from the sum by itself, within time-to-live plus one heartbeat of any other worker (3 s + 1 s by
default). A change of the sum is published; a worker that hears of it reports at once, and the reply to a report is
the only thing that ever sets the count: replies come in order, so no late message can set it back.

Joins and leaves within `pause_s` share one report: a thousand tabs that return after a deploy make some reports, not
a thousand. While the backend is away, the others' last known number stays and the own one is counted on.

Rejected: one shared counter with INCR and DECR (a killed worker's share stays for ever), an entry for each connection
(a heartbeat for each connection), counting pub/sub subscribers (knows workers, not connections; not consistent over a
cluster).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from fairlead.backoff import Backoff
from fairlead.channels.stream import StreamUnavailable
from fairlead.telemetry.tracing import unobserved

logger = logging.getLogger("fairlead.channels")

PAUSE_PER_MEMBER_S: Final = 100e-6
"""Telling one client costs some microseconds: telling everybody of everybody's arrival may take a tenth of the time."""


class Tally(Protocol):
    """A sum of one member's reports and those of the others. Every method raises `StreamUnavailable` when the backend
    is away."""

    name: str

    async def report(self, count: int) -> int:
        """Report this member's number; gives the sum over all members whose reports are still valid."""

    async def leave(self) -> None:
        """Take this member's report back."""

    def changes(self) -> AsyncIterator[None]:
        """Yields once when listening, and then whenever the sum has changed."""


class Presence:
    """The number of those who are here; `run` it as one task of the worker, `close` it when the worker stops.

    `on_change` is told the new number when it changes, joins and leaves of this worker included: at once, and then not again
    for `pause_s`, or for longer where many are here. `due` is set whenever a report is due; several may share one event.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        on_change: Callable[[int], None] = lambda count: None,
        heartbeat_s: float = 1.0,
        pause_s: float = 0.05,
        backoff: Callable[[], Backoff] = Backoff,
        due: asyncio.Event | None = None,
    ) -> None:
        self._tally = tally
        self._on_change = on_change
        self._heartbeat_s = heartbeat_s
        self._pause_s = pause_s
        self._make_backoff = backoff
        self._here = 0
        self._elsewhere = 0
        self._shown = 0
        self._due = due or asyncio.Event()
        self.is_due = True
        """Whether the last report is out of date."""
        self._pause: asyncio.TimerHandle | None = None

    @property
    def here(self) -> int:
        """How many of them are in this worker."""
        return self._here

    @property
    def count(self) -> int:
        """How many are here, as far as this worker knows."""
        return self._here + self._elsewhere

    @contextmanager
    def join(self) -> Iterator[None]:
        """Be here for the length of a `with` block."""
        self._move(+1)
        try:
            yield
        finally:
            self._move(-1)

    async def run(self) -> None:
        """Report and listen until cancelled; nothing else ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._persist(self._report))
            group.create_task(self._persist(self._listen))

    def hear_of_change(self) -> None:
        """The sum has changed: report, and so learn it."""
        self.is_due = True
        self._due.set()

    async def report(self) -> int:
        """Report this worker's number once, and give the sum: for those who don't `run` it. Raises `StreamUnavailable`."""
        here, self.is_due = self._here, False
        try:
            self._elsewhere = await self._tally.report(here) - here
        except BaseException:
            self.is_due = True
            raise
        self._show()
        return self.count

    async def close(self) -> None:
        """Tell the others that this worker's connections are gone. Without it they learn of it when the report
        expires."""
        if self._pause is not None:
            self._pause.cancel()
        try:
            await self._tally.leave()
        except StreamUnavailable as error:
            logger.debug("presence %s: could not leave: %s", self._tally.name, error)

    async def _report(self, backoff: Backoff) -> None:
        while True:
            self._due.clear()
            await self.report()
            backoff.reset()
            await asyncio.sleep(self._pause_s)
            await self._until_due()

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self._due.wait()
        except TimeoutError:
            pass

    async def _listen(self, backoff: Backoff) -> None:
        async for _ in self._tally.changes():
            backoff.reset()
            self.hear_of_change()

    async def _persist(self, attempt: Callable[[Backoff], Awaitable[None]]) -> None:
        backoff = self._make_backoff()
        while True:
            try:
                with unobserved():
                    await attempt(backoff)
            except StreamUnavailable as error:
                logger.debug("presence %s: %s", self._tally.name, error)
            except Exception:
                logger.exception("presence %s: unexpected error", self._tally.name)
            await asyncio.sleep(backoff.next_s())

    def _move(self, step: int) -> None:
        self._here += step
        self.hear_of_change()
        self._show()

    def _show(self) -> None:
        if self._pause is None and self.count != self._shown:
            self._shown = self.count
            pause_s = max(self._pause_s, self._shown * PAUSE_PER_MEMBER_S)
            self._pause = asyncio.get_running_loop().call_later(pause_s, self._show_again)
            self._on_change(self._shown)

    def _show_again(self) -> None:
        self._pause = None
        self._show()
