"""`Channels`: the named groups of an application in one worker, and the one line over which it hears of them all.

How this works. Whoever joins a group holds it; a group that nobody holds any more is let go after `linger_s` (a page that is
reloaded finds it still there). Some loops run, as one task of the worker:

- one keeps the line up: opens it, asks for every group that is held, passes on what is heard; when anything about it fails,
  every group is stale, and after a back-off it begins anew. Each group reads on in the stream once the line has joined it.
- one asks for groups that are new and leaves those that are idle, so that joins and leaves reach the server in one order;
- one reports how many members there are here: when that has changed, and every `heartbeat_s` for groups that have some.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from fairlead.backoff import Backoff
from fairlead.channels.group import Group
from fairlead.channels.line import Backend, Heard, Joined, Line, Posting, Said
from fairlead.channels.local_group import LocalGroup
from fairlead.channels.stream import Stream, StreamPosition, StreamUnavailable
from fairlead.errors import ServiceUnavailable
from fairlead.telemetry.tracing import unobserved

if TYPE_CHECKING:
    from fairlead.app import App

logger = logging.getLogger("fairlead.channels")

MAX_NAME_CHARACTERS: Final = 200
PAUSE_S: Final = 0.05
"""Joins and leaves within so long share a report."""
READERS: Final = 8
"""So many groups read their stream at once: ten thousand that come back together must not take every connection."""
ASKED_AT_ONCE: Final = 500


class Channels:
    """The groups of one application. `attach` it to the app, or `run` it as a task and `close` it.

    - `prefix` begins the backend's keys. `max_entries` messages of a group are kept there, until `keep_s` after the last one;
      each worker keeps the last `history` of those groups that it has members of.
    - `linger_s`: how long a group without members is still followed.
    - `join_timeout_s`, `broadcast_timeout_s`: how long a backend that is away is waited for.
    - `announces_presence`: whether members are told how many they are: when that changes, and every `reminder_s`, so that a client
      can tell a quiet group from a dead connection (scripts of a page see no pings).
    """

    def __init__(
        self,
        backend: Backend,
        *,
        prefix: str = "channel:",
        history: int = 100,
        max_entries: int = 1000,
        keep_s: float = 86400.0,
        max_message_bytes: int = 262_144,
        linger_s: float = 5.0,
        join_timeout_s: float = 5.0,
        broadcast_timeout_s: float = 5.0,
        heartbeat_s: float = 2.0,
        announces_presence: bool = True,
        reminder_s: float = 20.0,
        backoff: Backoff | None = None,
    ) -> None:
        if not 0 < history <= max_entries:
            raise ValueError("a group remembers at least one message, and no more than are kept")
        self.max_message_bytes = max_message_bytes
        self.live = asyncio.Event()
        """Set while the line is up, for those who want to wait for it."""
        self._backend = backend
        self._prefix = prefix
        self._history = history
        self._max_entries = max_entries
        self._keep_s = keep_s
        self._linger_s = linger_s
        self._join_timeout_s = join_timeout_s
        self._broadcast_timeout_s = broadcast_timeout_s
        self._heartbeat_s = heartbeat_s
        self._announces_presence = announces_presence
        self._reminder_s = reminder_s
        self._backoff = backoff or Backoff()
        self._groups: dict[str, LocalGroup] = {}
        self._changed = asyncio.Event()
        self._due = asyncio.Event()
        self._readers = asyncio.Semaphore(READERS)

    def attach(self, app: App[Any, Any], *, name: str = "channels", critical: bool = False) -> Self:
        """Run with `app`: as a task of each worker, with a readiness check of this name."""

        async def close(_app: App[Any, Any]) -> None:
            await self.close()

        app.add_task(self.run, name=name)
        app.after_server_stop(close)
        app.health.add(name, self.check, critical=critical)
        return self

    def group(self, name: str) -> Group:
        """The group of this name. Raises ValueError for a name that is empty or longer than 200 characters."""
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise ValueError(f"the name of a group has 1 to {MAX_NAME_CHARACTERS} characters")
        return Group(self, name)

    @property
    def groups(self) -> dict[str, int]:
        """The groups that have members in this worker, and how many they have in all workers."""
        return {name: local.presence.count for name, local in self._groups.items() if local.presence.here}

    # --- for Group ---

    def stream(self, name: str) -> Stream:
        """The stream of a group."""
        return self._backend.stream(self._prefix + name)

    def local(self, name: str) -> LocalGroup | None:
        """The group as this worker has it, if it has."""
        return self._groups.get(name)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[LocalGroup]:
        """Have a group here for the length of the block. Raises `ServiceUnavailable` when its stream can't be read."""
        local = self._groups.get(name)
        if local is None:
            local = self._groups[name] = self._make(name)
            self._changed.set()
        local.holders += 1
        try:
            if not local.is_loaded:
                try:
                    async with asyncio.timeout(self._join_timeout_s):
                        await local.live.wait()
                except TimeoutError:
                    raise ServiceUnavailable("The channel can't be reached at the moment", retry_after=1) from None
            yield local
        finally:
            local.holders -= 1
            if local.holders == 0:
                loop = asyncio.get_running_loop()
                local.idle_since = loop.time()
                loop.call_later(self._linger_s, self._changed.set)

    def _make(self, name: str) -> LocalGroup:
        key = self._prefix + name
        return LocalGroup(
            name,
            self._backend.stream(key),
            self._backend.tally(key, group=key),
            self._due,
            history_size=self._history,
            max_entries=self._max_entries,
            announces=self._announces_presence,
        )

    async def post(self, name: str, data: str, message_id: str, is_repeat: bool) -> StreamPosition:
        """Store and say a message, again and again until it is known to be stored. Raises `StreamUnavailable`."""
        loop = asyncio.get_running_loop()
        deadline, backoff = loop.time() + self._broadcast_timeout_s, Backoff()
        while True:
            posting = Posting(data, message_id, self._max_entries, self._keep_s, is_repeat)
            try:
                return await self._backend.publish(self._prefix + name, posting)
            except StreamUnavailable:
                pause_s = backoff.next_s()
                if loop.time() + pause_s > deadline:
                    raise
                await asyncio.sleep(pause_s)
                is_repeat = True

    async def count(self, name: str) -> int:
        """Ask how many members a group has. Raises `StreamUnavailable`."""
        local = self._groups.get(name)
        if local is not None:
            return await local.presence.report()
        key = self._prefix + name
        return await self._backend.tally(key, group=key).report(0)

    # --- the loops ---

    async def run(self) -> None:
        """Listen and count until cancelled; nothing else ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_connected())
            group.create_task(self._count())
            if self._announces_presence:
                group.create_task(self._remind())

    async def check(self) -> None:
        """A readiness check: raises while the line is down."""
        if not self.live.is_set():
            raise StreamUnavailable("the line of the channels is down")

    async def close(self) -> None:
        """Tell the other workers that the members of this one are gone."""
        for local in self._groups.values():
            await local.presence.close()

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._connect()
            except Exception as error:
                causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
                if not all(isinstance(cause, StreamUnavailable) for cause in causes):
                    logger.exception("channels: unexpected error")
                if self.live.is_set():
                    logger.warning("channels: the line is down: %s", causes[0])
            self.live.clear()
            for local in self._groups.values():
                local.lose_line()
            await asyncio.sleep(self._backoff.next_s())

    async def _connect(self) -> None:
        line = self._backend.line()
        try:
            await line.open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask(line))
                logger.info("channels: the line is up")
                self.live.set()
                while True:
                    heard = await line.hear()
                    self._backoff.reset()
                    if heard is not None:
                        self._take(heard, tasks)
        finally:
            await line.close()

    async def _ask(self, line: Line) -> None:
        """Keep what the line was asked for in step with the groups that are held."""
        loop, asked = asyncio.get_running_loop(), set[str]()
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            before = loop.time() - 0.9 * self._linger_s  # timers are not exact
            for local in [local for local in self._groups.values() if not local.holders and local.idle_since <= before]:
                del self._groups[local.name]
            wanted = {self._prefix + name for name in self._groups}
            idle, new = asked - wanted, sorted(wanted - asked)
            asked = wanted
            if idle:
                await line.leave(idle)
            for start in range(0, len(new), ASKED_AT_ONCE):
                await line.join(new[start : start + ASKED_AT_ONCE])

    def _take(self, heard: Heard, tasks: asyncio.TaskGroup) -> None:
        local = self._groups.get(heard.name.removeprefix(self._prefix))
        if local is None:
            return
        match heard:
            case Said():
                if not local.hear(heard):
                    self._read_on(local, tasks)
            case Joined():
                self._read_on(local, tasks)
            case _:  # counted
                local.presence.hear_of_change()

    def _read_on(self, local: LocalGroup, tasks: asyncio.TaskGroup) -> None:
        if not local.must_read_on:
            local.must_read_on = True
            tasks.create_task(self._go_live(local))

    async def _go_live(self, local: LocalGroup) -> None:
        backoff = Backoff()
        while local.must_read_on:
            try:
                async with self._readers:
                    local.must_read_on = False
                    await local.go_live()
            except StreamUnavailable as error:
                logger.debug("group %s: %s", local.name, error)
                local.must_read_on = True
                await asyncio.sleep(backoff.next_s())

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(self._reminder_s)
            for local in self._groups.values():
                local.announce_count(local.presence.count)

    async def _count(self) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_s):
                    await self._due.wait()
            self._due.clear()
            is_beat = loop.time() >= beat_at
            if is_beat:
                beat_at = loop.time() + self._heartbeat_s
            try:
                with unobserved():
                    for presence in [local.presence for local in self._groups.values()]:
                        if presence.is_due or (is_beat and presence.here):
                            await presence.report()
            except StreamUnavailable as error:
                logger.debug("channels: counts could not be reported: %s", error)
            except Exception:
                logger.exception("channels: unexpected error")
            await asyncio.sleep(PAUSE_S)
