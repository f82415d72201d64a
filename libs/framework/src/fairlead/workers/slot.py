"""A slot: a listening socket, and one worker that serves it (two while one is being replaced).

How this works. `run` keeps a worker alive: when it dies unasked, the next one is spawned after the back-off's delay,
until that says that it is a crash loop. `replace` is the other way to a new worker, without a gap: the new one starts
beside the old one, on the same socket; once it is ready the old one is drained; if it fails the old one stays. Both
spawn under one lock, so a slot never has more than one worker that is on its way up.

The first worker of a slot has to come up: what fails at the start of the service is a fault of code or configuration,
which a second attempt would only hide.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress

from fairlead.workers.deaths import Deaths
from fairlead.workers.listener import add_listener
from fairlead.workers.messages import RestartCause, WorkerState
from fairlead.workers.plan import Plan
from fairlead.workers.process import WorkerObserver, WorkerProcess
from fairlead.workers.reaper import Reaper

__all__ = ["GiveUp", "Slot"]

logger = logging.getLogger("fairlead.workers")


class GiveUp(Exception):
    """Another attempt makes no sense. `detail` is a short traceback or ""; `exit_status` is what to end with."""

    def __init__(self, message: str, detail: str = "", exit_status: int = 1) -> None:
        super().__init__(message)
        self.detail = detail
        self.exit_status = exit_status


class Slot:
    """One listening socket and its worker. `run` is its life; `stop` ends it."""

    def __init__(self, index: int, plan: Plan, listener: socket.socket, reaper: Reaper, observer: WorkerObserver) -> None:
        self.index = index
        self.worker: WorkerProcess | None = None
        """The one that serves, or that is to: None only between a death and the next spawn."""
        self.workers: set[WorkerProcess] = set()
        """All that are not buried: the old and the new while one is being replaced."""
        self.restarts = dict.fromkeys(RestartCause, 0)
        self.was_ready = asyncio.Event()
        self.last_alive_s = time.monotonic()
        """When a worker of this slot was last heard of."""
        self._plan = plan
        self._listener = listener
        self._reaper = reaper
        self._observer = observer
        self._deaths = Deaths()
        self._spawning = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._deadline_s = 0.0

    async def run(self) -> None:
        """Keep a worker alive until `stop`. Raises `GiveUp` when the first one fails, and on a crash loop."""
        async with self._spawning:
            self.worker = await self._spawn()
        while not self._stopping.is_set():
            worker = self.worker
            await self._outlive(worker)
            async with self._spawning:
                if self.worker is worker and not self._stopping.is_set():
                    await self._respawn(worker)
        await self._bury_all()

    async def replace(self, old: WorkerProcess | None, cause: str) -> str:
        """Start a new worker first, then drain the `old` one. When the new one fails the old one stays: returns the cause.

        A worker that is no longer the slot's own, or that fails before it is ready, is replaced anyway: that is "".
        """
        async with self._spawning:
            if old is not None:
                await old.settled.wait()
            if self._stopping.is_set():
                return "the service is stopping"
            if old is None or old is not self.worker or old.state is not WorkerState.READY:
                return ""
            logger.info("worker is being replaced", extra={"worker": self.index, "worker_pid": old.pid, "cause": cause})
            new = await self._spawn()
            await new.settled.wait()
            if new.state is not WorkerState.READY:
                await new.ended.wait()
                self.workers.discard(new)
                return new.cause or "the service is stopping"
            self.worker = new
            self.restarts[RestartCause.REPLACED] += 1
            old.drain(time.monotonic() + self._plan.graceful_shutdown_timeout_s)
        await old.ended.wait()
        return ""

    def stop(self, deadline_s: float) -> None:
        """Drain whatever runs, until `deadline_s` (CLOCK_MONOTONIC), and spawn nothing more."""
        self._deadline_s = deadline_s
        self._stopping.set()
        for worker in self.workers:
            worker.drain(deadline_s)

    def end(self, cause: str) -> None:
        """Kill whatever runs."""
        for worker in self.workers:
            worker.end(cause)

    def close(self) -> None:
        """Give up this process's copy of the listening socket. Workers keep theirs."""
        self._listener.close()

    def add_listener(self) -> socket.socket:
        """A socket on the same address for another slot. Raises `ListenError`."""
        return add_listener(self._listener)

    async def _spawn(self) -> WorkerProcess:
        worker = WorkerProcess(self._plan, self.index, self._listener, self._reaper, self._observer)
        worker.logs_detail = self.was_ready.is_set()
        try:
            await worker.start()
        except OSError as error:
            raise GiveUp(f"cannot start worker {self.index}: {error.strerror}") from error
        self.workers.add(worker)
        if self._stopping.is_set():  # asked to stop between the decision and the spawn
            worker.drain(self._deadline_s)
        return worker

    async def _outlive(self, worker: WorkerProcess) -> None:
        """Wait until the worker has ended, and take note of its start."""
        await worker.settled.wait()
        if worker.state is WorkerState.READY:
            self.was_ready.set()
        await worker.ended.wait()
        self.workers.discard(worker)
        self.last_alive_s = worker.last_sign_s

    async def _respawn(self, dead: WorkerProcess) -> None:
        if not self.was_ready.is_set():
            raise _start_failed(dead)
        delay_s = self._deaths.record(dead.healthy_s)
        if self._deaths.are_a_crash_loop:
            deaths = self._deaths.in_a_row
            raise GiveUp(f"crash loop: worker {self.index} died {deaths} times in a row; the last time: {dead.cause}")
        self.worker = None
        if delay_s:
            logger.warning("worker waits for its next start", extra={"worker": self.index, "delay_s": delay_s})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
        if not self._stopping.is_set():
            self.restarts[dead.restart_cause] += 1
            self.worker = await self._spawn()

    async def _bury_all(self) -> None:
        while self.workers:
            worker = self.workers.pop()
            await worker.ended.wait()


def _start_failed(worker: WorkerProcess) -> GiveUp:
    failure = worker.failure
    if failure is None:
        return GiveUp(f"the first start failed: {worker.cause}")
    return GiveUp(failure.cause, failure.detail, failure.exit_status)
