"""One process for everything: the app in the main thread, a warden in a second one (debuggers, tiny pods).

How this works. The warden has a loop of its own and never runs the service's code, so nothing that a service does can
block it, but the GIL. It serves the management port, where `/livez` fails once the main loop has been silent for too
long; it receives the signals, tells the main loop to drain, and ends the process when that is not done in time, or at a
second signal. Nobody replaces a blocked loop here, and no crash is survived: that takes a supervisor.

Signals reach Python in the main thread, between two of its instructions; the handler only hands them to the warden.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from fairlead.app import App
from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.server import serve_management
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.metrics import Snapshot, registry
from fairlead.workers.configuration import configure_app_logs
from fairlead.workers.loop import describe_loop, new_event_loop
from fairlead.workers.messages import Beat, Changed, WorkerState
from fairlead.workers.plan import Plan
from fairlead.workers.service import CLEANUP_S, Service
from fairlead.workers.signals import SignalInbox, Wish, Wishes

__all__ = ["SingleFleet", "SingleProcess"]

logger = logging.getLogger("fairlead.workers")


class SingleFleet:
    """The one worker, as the management port sees it. Written by the main thread, read by the warden."""

    def __init__(self, plan: Plan) -> None:
        self.state = WorkerState.STARTING
        self.is_draining = False
        self.name = plan.target
        self.last_beat = Beat(time.monotonic())
        self._ready_s: float | None = None
        self._plan = plan

    def ready(self, name: str, beat: Beat) -> None:
        """The service is up."""
        self.name, self.last_beat, self._ready_s = name, beat, beat.time_s
        self.state = WorkerState.READY

    def status(self) -> FleetStatus:
        """The state of the main loop, now."""
        now_s = time.monotonic()
        beat = self.last_beat
        worker = WorkerStatus(
            worker=0,
            state=self.state,
            pid=os.getpid(),
            restarts=0,
            silent_s=now_s - beat.time_s,
            uptime_s=now_s - self._ready_s if self._ready_s is not None else 0.0,
            lag_s=beat.lag_s,
            in_flight=beat.in_flight,
            connections=beat.connections,
            checks=beat.checks,
        )
        plan = self._plan
        return FleetStatus(self.name, self.is_draining, plan.heartbeat_timeout_s, plan.start_timeout_s, (worker,))

    async def metrics(self) -> Snapshot:
        """The counters of this process."""
        return registry.snapshot()


class Warden:
    """The second thread. `start` returns when the management port is served; `stop` ends it."""

    def __init__(
        self, plan: Plan, fleet: SingleFleet, signals: SignalInbox, listener: socket.socket, leave: Callable[..., object]
    ) -> None:
        self._plan = plan
        self._fleet = fleet
        self._signals = signals
        self._listener = listener
        self._leave = leave
        self._wishes = Wishes()
        self._drain: Callable[[float], object] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fairlead-warden", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()
        self._is_up.wait()

    def watch(self, drain: Callable[[float], object]) -> None:
        """From now on there is something to lose: `drain(deadline_s)` is called, in the warden's thread, to stop."""
        self._drain = drain

    def stop(self) -> None:
        """Watch no more; the management port is closed."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        finally:
            self._is_up.set()

    async def _watch(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with serve_management(self._fleet, self._listener):
            self._signals.attach(self._loop, self._signalled)
            self._is_up.set()
            await self._stopping.wait()

    def _signalled(self, number: signal.Signals) -> None:
        wish = self._wishes.judge(number)
        if wish is Wish.STOP:
            self._begin_drain(number)
        elif wish is Wish.FORCE:
            logger.warning("service is stopped by force", extra={"cause": number.name})
            self._leave(1)
        elif wish is Wish.RELOAD:
            logger.warning("a single process has no rolling restart", extra={"cause": number.name})

    def _begin_drain(self, number: signal.Signals) -> None:
        plan = self._plan
        self._fleet.is_draining = True
        delay_s = plan.drain_delay_s if self._fleet.state is WorkerState.READY else 0.0
        timeout_s = plan.graceful_shutdown_timeout_s
        logger.info("service is draining", extra={"cause": number.name, "delay_s": delay_s, "timeout_s": timeout_s})
        if self._drain is None:  # the target is being imported
            self._leave()
            return
        deadline_s = time.monotonic() + delay_s + timeout_s
        self._loop.call_later(delay_s, self._drain, deadline_s)
        self._loop.call_later(delay_s + timeout_s + CLEANUP_S, self._give_up)

    def _give_up(self) -> None:
        logger.error("service was not done at the deadline")
        self._leave()


class SingleProcess:
    """One service in this process: `run()` once, in the main thread."""

    def __init__(
        self,
        plan: Plan,
        signals: SignalInbox,
        stream: LogStream,
        *,
        listener: socket.socket,
        management: socket.socket,
        announce: Callable[[Changed], object],
    ) -> None:
        self._plan = plan
        self._stream = stream
        self._listener = listener
        self._announce = announce
        self._fleet = SingleFleet(plan)
        self._warden = Warden(plan, self._fleet, signals, management, self._leave)
        self._deadline_s = 0.0

    def run(self, load: Callable[[], App[Any, Any]]) -> None:
        """Load the app, serve until asked to stop. What the app raises at its start comes through."""
        self._warden.start()
        try:
            app = load()
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve(app))
        finally:
            self._warden.stop()

    async def _serve(self, app: App[Any, Any]) -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        def drain(deadline_s: float) -> None:
            self._deadline_s = deadline_s
            loop.call_soon_threadsafe(asked.set)

        self._warden.watch(drain)
        self._stream = configure_app_logs(self._stream, app)
        service = Service(app, [self._listener], self._stream)
        app.finalise()
        await app.lifecycle.run("main_process_start", app)
        if await service.start_unless(asked):
            self._fleet.ready(app.name, service.beat())
            await app.lifecycle.run("main_process_ready", app)
            self._announce(Changed(WorkerState.READY, name=app.name, debug=app.debug, loop=describe_loop(loop)))
            beside = [asyncio.create_task(self._beat(service)), asyncio.create_task(service.keep_checking())]
            await asked.wait()
            self._fleet.state = WorkerState.DRAINING
            await service.drain(self._deadline_s)
            for task in beside:
                task.cancel()
            await app.lifecycle.run("main_process_stop", app)
        logger.info("service has stopped")

    async def _beat(self, service: Service) -> None:
        async for beat in service.beats():
            self._fleet.last_beat = beat

    def _leave(self, status: int = 0) -> None:
        """End at once, with what was logged."""
        self._stream.flush()
        os._exit(status)
