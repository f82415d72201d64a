"""The supervisor: PID 1 of the service, and the one process that nothing a service does can block (missions K2–K5).

How this works. An asyncio program that never imports the service's code. It has caught its signals before anything else,
then opens the listening sockets, starts the management port, and gives each slot its worker. From then on it waits: for
a signal, or for a slot that gives up.

    SIGTERM, SIGINT     drain: /readyz says 503, serve on for DRAIN_DELAY, then every worker stops accepting and finishes
                        what it has, until one absolute deadline that is passed down; exit 0. A second one forces.
    SIGHUP              rolling restart: for each slot a new worker first, then the old one is drained. If the terminal
                        was closed it means what it says: the end.
    SIGCHLD             bury the dead, orphans too as PID 1.
    a slot gives up     (its first start failed, or a crash loop) drain the others, cause on stderr, exit status not 0.

No signal goes to anything but its own children, each by its handle, and never to a process group.

Rejected: `multiprocessing` (forks a running loop or pickles the app, has a manager process of its own), letting workers
that are draining answer the probes (a blocked or dead one could not), a restart of time-outs at each level.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

from fairlead.management.fleet import Fleet
from fairlead.workers.fleet import WorkerFleet
from fairlead.workers.listener import address_of, open_listeners
from fairlead.workers.plan import Plan
from fairlead.workers.reaper import Reaper
from fairlead.workers.signals import SignalInbox, Wish, Wishes
from fairlead.workers.slot import GiveUp, Slot

__all__ = ["Supervisor"]

logger = logging.getLogger("fairlead.workers")

Manage = Callable[[Fleet], AbstractAsyncContextManager[object]]
"""Serves the management port while the context is open."""

Announce = Callable[[WorkerFleet, str], object]
"""Shows the banner once all workers are ready; gets the address that is served."""


class Supervisor:
    """One service: `await run()` once, in a fresh loop. `signals` has SIGTERM, SIGINT, SIGHUP and SIGCHLD installed."""

    def __init__(self, plan: Plan, signals: SignalInbox, manage: Manage, announce: Announce) -> None:
        self.fleet = WorkerFleet(plan)
        self._plan = plan
        self._signals = signals
        self._manage = manage
        self._announce = announce
        self._reaper = Reaper()
        self._wishes = Wishes()
        self._stop_asked = asyncio.Event()
        self._forced = asyncio.Event()
        self._roll_asked = asyncio.Event()

    async def run(self) -> None:
        """Serve until asked to stop. Raises `ListenError` for a taken address and `GiveUp` for workers that fail."""
        async with AsyncExitStack() as stack:
            listeners = open_listeners(self._plan.host, self._plan.port, self._plan.workers.count, self._plan.backlog)
            self.fleet.slots = [
                Slot(index, self._plan, listener, self._reaper, self.fleet) for index, listener in enumerate(listeners)
            ]
            for slot in self.fleet.slots:
                stack.callback(slot.close)
            await stack.enter_async_context(self._manage(self.fleet))
            self._signals.attach(asyncio.get_running_loop(), self._signalled)
            failure = await self._supervise(address_of(listeners[0]))
        if failure is not None:
            raise failure

    async def _supervise(self, address: str) -> GiveUp | None:
        lives = [asyncio.create_task(slot.run(), name=f"slot {slot.index}") for slot in self.fleet.slots]
        companions = [
            asyncio.create_task(self._greet(address), name="greeting"),
            asyncio.create_task(self._roll_when_asked(), name="rolling restart"),
            stop := asyncio.create_task(self._stop_asked.wait(), name="stop signal"),
        ]
        await asyncio.wait([*lives, stop], return_when=asyncio.FIRST_COMPLETED)
        failure = _failure_of(lives)
        await self._drain(lives, failure)
        for task in companions:
            task.cancel()
        await asyncio.gather(*companions, return_exceptions=True)
        await self.fleet.settle()
        return failure

    async def _greet(self, address: str) -> None:
        for slot in self.fleet.slots:
            await slot.was_ready.wait()
        self._announce(self.fleet, address)

    async def _roll_when_asked(self) -> None:
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            await self.fleet.roll("SIGHUP")

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _drain(self, lives: list[asyncio.Task[None]], failure: GiveUp | None) -> None:
        """One deadline for everything: the delay, the requests in flight, and what a lower level makes of it."""
        plan = self._plan
        self.fleet.is_draining = True
        has_served = any(slot.was_ready.is_set() for slot in self.fleet.slots)
        delay_s = plan.drain_delay_s if has_served else 0.0
        deadline_s = time.monotonic() + delay_s + plan.graceful_shutdown_timeout_s
        cause = str(failure or (self._wishes.first.name if self._wishes.first else "asked to"))
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
        await asyncio.gather(*lives, return_exceptions=True)
        forced.cancel()
        logger.info("service has stopped", extra={"cause": cause})

    async def _end_when_forced(self) -> None:
        await self._forced.wait()
        for slot in self.fleet.slots:
            slot.end("forced by a second signal")

    # --- signals -----------------------------------------------------------------------------------------------------

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGCHLD:
            self._reaper.reap()
            return
        wish = self._wishes.judge(number)
        if wish is Wish.STOP:
            self._stop_asked.set()
        elif wish is Wish.RELOAD:
            self._roll_asked.set()
        elif wish is Wish.FORCE:
            logger.warning("service is stopped by force", extra={"cause": number.name})
            self._forced.set()


def _failure_of(lives: list[asyncio.Task[None]]) -> GiveUp | None:
    for life in lives:
        error = life.exception() if life.done() else None
        if isinstance(error, GiveUp):
            return error
        if error is not None:
            raise error
    return None
