"""The supervisor: PID 1 of the service, and the one process that nothing a service does can block (missions K2–K5).

How this works. An asyncio program that never imports the service's code. It has caught its signals before anything else,
then opens the listening sockets, starts the management port, and gives each slot its worker. From then on it waits: for
a signal, or for a slot that gives up.

    SIGTERM, SIGINT     drain: /readyz says 503, serve on for DRAIN_DELAY, then every worker stops accepting and finishes
                        what it has, until one absolute deadline that is passed down; exit 0. A second one forces:
                        whatever still runs is killed, exit 1.
    SIGHUP              rolling restart: for each slot a new worker first, then the old one is drained. If the terminal
                        was closed it means what it says: the end.
    SIGCHLD             bury the dead, orphans too as PID 1.
    a slot gives up     (its first start failed, or a crash loop) drain the others, cause on stderr, exit status not 0.
    reload, scale, stop by the management socket. A slot that is added starts its worker before the kernel sends it any
                        connection; one that is removed is drained, and its worker empties the accept queue first. A
                        second worker that dies of want of memory within ten minutes takes its slot with it: fewer
                        workers that live serve more than many that die in turns.

No signal goes to anything but its own children, each by its handle, and never to a process group.

Rejected: `multiprocessing` (forks a running loop or pickles the app, has a manager process of its own), letting workers
that are draining answer the probes (a blocked or dead one could not), a restart of time-outs at each level.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from contextvars import Context
from typing import Literal

from fairlead.management.fleet import Fleet, Operator
from fairlead.workers.fleet import WorkerFleet
from fairlead.workers.listener import ListenError, address_of, open_listeners
from fairlead.workers.notification import notify
from fairlead.workers.plan import Plan
from fairlead.workers.reaper import Reaper
from fairlead.workers.signals import SignalInbox, Wish, Wishes
from fairlead.workers.slot import GiveUp, Slot

__all__ = ["Supervisor"]

logger = logging.getLogger("fairlead.workers")

Manage = Callable[[Fleet, Operator], AbstractAsyncContextManager[object]]
"""Serves the management port and socket while the context is open."""

MAX_WORKERS = 512
"""More than any machine carries: a slip of the finger is refused."""

Announce = Callable[[WorkerFleet, str], object]
"""Shows the banner once all workers are ready; gets the address that is served."""


class Supervisor:
    """One service: `await run()` once, in a fresh loop. `signals` has SIGTERM, SIGINT, SIGHUP and SIGCHLD installed."""

    def __init__(self, plan: Plan, signals: SignalInbox, manage: Manage, announce: Announce) -> None:
        self.fleet = WorkerFleet(plan, self._memory_is_short)
        self._plan = plan
        self._signals = signals
        self._manage = manage
        self._announce = announce
        self._reaper = Reaper()
        self._wishes = Wishes()
        self._stop_cause = ""
        self._failure: BaseException | None = None
        self._over = asyncio.Event()
        self._forced = asyncio.Event()
        self._roll_asked = asyncio.Event()
        self._changing = asyncio.Lock()
        self._lives: dict[Slot, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[str]] = set()

    async def run(self) -> None:
        """Serve until asked to stop. Raises `ListenError` for a taken address and `GiveUp` for workers that fail."""
        async with AsyncExitStack() as stack:
            listeners = open_listeners(self._plan.host, self._plan.port, self._plan.workers.count, self._plan.backlog)
            self.fleet.slots = [self._slot(index, listener) for index, listener in enumerate(listeners)]
            stack.callback(self._close_slots)
            await stack.enter_async_context(self._manage(self.fleet, self))
            self._signals.attach(asyncio.get_running_loop(), self._signalled)
            failure = await self._supervise(address_of(listeners[0]))
        if failure is not None:
            raise failure

    async def _supervise(self, address: str) -> BaseException | None:
        for slot in self.fleet.slots:
            self._begin(slot)
        companions = [
            asyncio.create_task(self._greet(address), name="greeting"),
            asyncio.create_task(self._roll_when_asked(), name="rolling restart"),
        ]
        await self._over.wait()
        await self._drain(self._failure)
        for task in companions:
            task.cancel()
        await asyncio.gather(*companions, *self._errands, return_exceptions=True)
        await self.fleet.settle()
        return self._failure

    def _slot(self, index: int, listener: socket.socket) -> Slot:
        return Slot(index, self._plan, listener, self._reaper, self.fleet)

    def _begin(self, slot: Slot, *, must_come_up: bool = True) -> asyncio.Task[None]:
        """Start the life of a slot; when it fails, so does the service."""
        life = self._lives[slot] = asyncio.create_task(slot.run(), name=f"slot {slot.index}", context=Context())
        life.add_done_callback(lambda life: self._lived(slot, life, must_come_up=must_come_up))
        return life

    def _lived(self, slot: Slot, life: asyncio.Task[None], *, must_come_up: bool) -> None:
        del self._lives[slot]
        failure = None if life.cancelled() else life.exception()
        if failure is not None and (must_come_up or slot.was_ready.is_set()):
            self._failure = self._failure or failure
            self._over.set()

    def _close_slots(self) -> None:
        for slot in self.fleet.slots:
            slot.close()

    async def _greet(self, address: str) -> None:
        for slot in self.fleet.slots:
            await slot.was_ready.wait()
        self._announce(self.fleet, address)
        notify("READY=1", f"MAINPID={os.getpid()}")

    async def _roll_when_asked(self) -> None:
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            await self.reload("SIGHUP")

    # --- what an operator may wish -----------------------------------------------------------------------------------

    async def reload(self, cause: str) -> str:
        """Replace every worker, one after the other. Returns why that was given up, or ""."""
        async with self._changing:
            return await self.fleet.roll(cause)

    async def scale(self, count: int, cause: str) -> str:
        """Run `count` workers. Returns why there are fewer, or ""."""
        if not 1 <= count <= MAX_WORKERS:
            return f"the number of workers is between 1 and {MAX_WORKERS}"
        async with self._changing:
            before = len(self.fleet.slots)
            problem = ""
            while len(self.fleet.slots) < count and not problem:
                problem = "the service is stopping" if self.fleet.is_draining else await self._add_slot()
            removed, self.fleet.slots = self.fleet.slots[count:], self.fleet.slots[:count]
            await asyncio.gather(*(self._remove(slot) for slot in removed))
            after = len(self.fleet.slots)
        logger.info("workers are scaled", extra={"workers": after, "before": before, "cause": cause})
        return problem

    async def stop(self, cause: str) -> str:
        """Begin to drain, as at SIGTERM."""
        self._stop_cause = self._stop_cause or cause
        self._over.set()
        return ""

    async def inspect(self, worker: int, seconds: float, format: Literal["text", "html"]) -> tuple[str, str]:
        """What a worker is doing: the problem, or "" and the text."""
        return await self.fleet.inspect(worker, seconds, format)

    async def call(self, worker: int, name: str, words: tuple[str, ...]) -> tuple[str, str]:
        """Run a command of the application's own in a worker: the problem, or "" and what it returned."""
        return await self.fleet.call(worker, name, words)

    async def _add_slot(self) -> str:
        try:
            slot = self._slot(len(self.fleet.slots), self.fleet.slots[0].add_listener())
        except (ListenError, OSError) as error:
            return str(error)
        self.fleet.slots = [*self.fleet.slots, slot]
        life = self._begin(slot, must_come_up=False)
        came_up = asyncio.create_task(slot.was_ready.wait())
        await asyncio.wait([life, came_up], return_when=asyncio.FIRST_COMPLETED)
        came_up.cancel()
        if slot.was_ready.is_set():
            return ""
        self.fleet.slots = self.fleet.slots[:-1]
        slot.close()
        return str(life.exception() or "the service is stopping")

    async def _remove(self, slot: Slot) -> None:
        life = self._lives.get(slot)
        slot.close()
        slot.stop(time.monotonic() + self._plan.graceful_shutdown_timeout_s)
        if life is not None:
            await asyncio.wait([life])

    def _memory_is_short(self) -> None:
        """Workers die of want of memory again and again: fewer may live."""
        count = len(self.fleet.slots) - 1
        if count >= 1 and not self.fleet.is_draining:
            errand = asyncio.create_task(self.scale(count, "workers ran out of memory repeatedly"), name="fewer workers")
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _drain(self, failure: BaseException | None) -> None:
        """One deadline for everything: the delay, the requests in flight, and what a lower level makes of it."""
        plan = self._plan
        self.fleet.is_draining = True
        notify("STOPPING=1")
        has_served = any(slot.was_ready.is_set() for slot in self.fleet.slots)
        delay_s = plan.drain_delay_s if has_served else 0.0
        deadline_s = time.monotonic() + delay_s + plan.graceful_shutdown_timeout_s
        cause = str(failure or self._stop_cause)
        logger.info(
            "service is draining",
            extra={"cause": cause, "delay_s": delay_s, "timeout_s": plan.graceful_shutdown_timeout_s},
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._forced.wait(), delay_s)
        for slot in self.fleet.slots:
            slot.close()  # the worker's copy is then the last: what it does not accept any more is refused, not lost
            slot.stop(deadline_s)
        forced = asyncio.create_task(self._end_when_forced(), name="forced end")
        await asyncio.gather(*self._lives.values(), return_exceptions=True)
        forced.cancel()
        logger.info("service has stopped", extra={"cause": cause})

    async def _end_when_forced(self) -> None:
        await self._forced.wait()
        if any(slot.workers for slot in self.fleet.slots):
            self._failure = self._failure or GiveUp("stopped by force: a second signal came before the work was done")
        for slot in self.fleet.slots:
            slot.end("forced by a second signal")

    # --- signals -----------------------------------------------------------------------------------------------------

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGCHLD:
            self._reaper.reap()
            return
        wish = self._wishes.judge(number)
        if wish is Wish.STOP:
            self._stop_cause = number.name
            self._over.set()
        elif wish is Wish.RELOAD:
            self._roll_asked.set()
        elif wish is Wish.FORCE:
            logger.warning("service is stopped by force", extra={"cause": number.name})
            self._forced.set()
