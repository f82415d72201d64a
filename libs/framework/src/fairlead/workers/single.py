"""One process for everything: the app in the main thread, a warden in a second one (debuggers, tiny pods).

How this works. The warden has a loop of its own and never runs the service's code, so nothing that a service does can
block it, but the GIL. It serves the management port, where `/livez` fails once the main loop has been silent for too
long, and the management socket; it receives the signals, tells the main loop to drain, and ends the process when that is
not done in time, or at a second signal. Nobody replaces a blocked loop here, and no crash is survived: that takes a
supervisor. A reload is one of certificates, and refused where there are none.

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
from typing import Any, Literal

from fairlead.app import App
from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.server import serve_operations
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.metrics import Snapshot, registry
from fairlead.workers.application_command import call
from fairlead.workers.configuration import configure_app_logs
from fairlead.workers.fleet import BLOCKED, CALL_WAIT_S, INSPECTION_WAIT_S, STILL_RUNNING
from fairlead.workers.loop import describe_loop, new_event_loop
from fairlead.workers.messages import Beat, Changed, WorkerState
from fairlead.workers.notification import notify
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


NO_RELOAD = "a single process can't be replaced while it serves: stop it and start it again"
NO_SCALE = "a single process has no workers: serve with a supervisor (FAIRLEAD_SINGLE_PROCESS=false)"


class Warden:
    """The second thread, and the operator. `start` returns when the management port is served; `stop_watching` ends it."""

    def __init__(
        self,
        plan: Plan,
        fleet: SingleFleet,
        signals: SignalInbox,
        leave: Callable[..., object],
        *,
        listener: socket.socket,
        commands: socket.socket | None,
    ) -> None:
        self._plan = plan
        self._fleet = fleet
        self._signals = signals
        self._listener = listener
        self._commands = commands
        self._leave = leave
        self._wishes = Wishes()
        self._drain: Callable[[float], object] | None = None
        self._reload_certificates: Callable[[], int] | None = None
        self._serving: asyncio.AbstractEventLoop | None = None
        self.app: App[Any, Any] | None = None
        """Whose commands can be run, from when it is ready."""
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fairlead-warden", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()
        self._is_up.wait()

    def watch(self, drain: Callable[[float], object], reload_certificates: Callable[[], int] | None) -> None:
        """From now on there is something to lose: `drain(deadline_s)` is called, in the warden's thread, to stop.

        `reload_certificates` is called there too, and says how many it has loaded; None without TLS.
        """
        self._drain = drain
        self._reload_certificates = reload_certificates
        self._serving = asyncio.get_running_loop()

    def stop_watching(self) -> None:
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
        async with serve_operations(self._fleet, self, self._listener, self._commands):
            self._signals.attach(self._loop, self._signalled)
            self._is_up.set()
            await self._stopping.wait()

    # what an operator may wish

    async def reload(self, cause: str) -> str:
        """Load renewed certificates; there is no worker to replace."""
        if self._reload_certificates is None:
            return NO_RELOAD
        logger.info("certificates are loaded anew", extra={"renewed": self._reload_certificates(), "cause": cause})
        return ""

    async def scale(self, count: int, cause: str) -> str:
        """Always refused."""
        return NO_SCALE

    async def stop(self, cause: str) -> str:
        """Begin to drain, as at SIGTERM."""
        self._begin_drain(cause)
        return ""

    async def inspect(self, worker: int, seconds: float, format: Literal["text", "html"]) -> tuple[str, str]:
        """What the service's loop is doing; a loop that is blocked can't say."""
        from fairlead.telemetry.inspection import inspect

        if worker or self._serving is None:
            return f"there is no worker {worker} that could answer", ""
        asked = asyncio.run_coroutine_threadsafe(inspect(seconds, format), self._serving)
        try:
            async with asyncio.timeout(seconds + INSPECTION_WAIT_S):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            return BLOCKED, ""

    async def call(self, worker: int, name: str, words: tuple[str, ...]) -> tuple[str, str]:
        """Run a command of the application's own in the service's loop."""
        if worker or self._serving is None or self.app is None:
            return f"there is no worker {worker} that could answer", ""
        asked = asyncio.run_coroutine_threadsafe(call(self.app, name, words), self._serving)
        try:
            async with asyncio.timeout(CALL_WAIT_S):
                return await asyncio.shield(asyncio.wrap_future(asked))
        except TimeoutError:
            return STILL_RUNNING, ""

    def _signalled(self, number: signal.Signals) -> None:
        wish = self._wishes.judge(number)
        if wish is Wish.STOP:
            self._begin_drain(number.name)
        elif wish is Wish.FORCE:
            logger.warning("service is stopped by force", extra={"cause": number.name})
            self._leave(1)
        elif wish is Wish.RELOAD:
            self._reloading = self._loop.create_task(self._reload_when_signalled(number.name))

    async def _reload_when_signalled(self, cause: str) -> None:
        if problem := await self.reload(cause):
            logger.warning("nothing is reloaded: %s", problem, extra={"cause": cause})

    def _begin_drain(self, cause: str) -> None:
        if self._fleet.is_draining:
            return
        plan = self._plan
        self._fleet.is_draining = True
        notify("STOPPING=1")
        delay_s = plan.drain_delay_s if self._fleet.state is WorkerState.READY else 0.0
        timeout_s = plan.graceful_shutdown_timeout_s
        logger.info("service is draining", extra={"cause": cause, "delay_s": delay_s, "timeout_s": timeout_s})
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
        commands: socket.socket | None,
        announce: Callable[[Changed], object],
    ) -> None:
        self._plan = plan
        self._stream = stream
        self._listener = listener
        self._announce = announce
        self._fleet = SingleFleet(plan)
        self._warden = Warden(plan, self._fleet, signals, self._leave, listener=management, commands=commands)
        self._deadline_s = 0.0

    def run(self, load: Callable[[], App[Any, Any]]) -> None:
        """Load the app, serve until asked to stop. What the app raises at its start comes through."""
        self._warden.start()
        try:
            app = load()
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve(app))
        finally:
            self._warden.stop_watching()

    async def _serve(self, app: App[Any, Any]) -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        def drain(deadline_s: float) -> None:
            self._deadline_s = deadline_s
            loop.call_soon_threadsafe(asked.set)

        self._stream = configure_app_logs(self._stream, app)
        service = Service(app, [self._listener], self._stream)
        self._warden.watch(drain, service.reload_certificates if service.has_certificates else None)
        app.finalise()
        await app.lifecycle.run("main_process_start", app)
        if await service.start_unless(asked):
            self._fleet.ready(app.name, service.beat())
            self._warden.app = app
            await app.lifecycle.run("main_process_ready", app)
            self._announce(Changed(WorkerState.READY, name=app.name, debug=app.debug, loop=describe_loop(loop)))
            notify("READY=1", f"MAINPID={os.getpid()}")
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
