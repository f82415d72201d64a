"""A worker: the process that runs the service's code. Started as `python -m fairlead.workers.worker CHANNEL_FD TARGET`.

How this works. The first message on the channel says what to do. Then: logs, the lifeline, the loop (uvloop where there
is one), the import of the target, its listeners, its server; *ready*. From then on the loop sends a beat each second and
answers what the supervisor asks, until it is told to drain, or finds the channel closed: then the supervisor is gone, and
it drains on its own.

Signals are the supervisor's business. SIGINT (a terminal sends it to everybody) and SIGHUP do nothing here. SIGTERM ends
the process at once while it imports, when there is nothing to lose; later it is passed on as a wish to be replaced, so
that `kill` on a single worker, too, loses no request.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any

from fairlead.locality import local_state
from fairlead.workers.application_command import call
from fairlead.workers.black_box import record_into
from fairlead.workers.channel import Channel, receive_now
from fairlead.workers.configuration import apply_options, configure_app_logs, configure_logs, settle_config
from fairlead.workers.failure import describe_failure
from fairlead.workers.lifeline import Lifeline
from fairlead.workers.loop import describe_loop, new_event_loop
from fairlead.workers.messages import (
    Call,
    Changed,
    CollectMetrics,
    Drain,
    FromSupervisor,
    Inspect,
    Inspected,
    Metrics,
    Retire,
    WorkerSpec,
    WorkerState,
)
from fairlead.workers.service import CLEANUP_S, Service
from fairlead.workers.signals import HELD_SIGNALS, disregard
from fairlead.workers.target import load_target, service_name

__all__ = ["Worker", "main"]

logger = logging.getLogger("fairlead.workers")

METRICS_EVERY_BEATS = 10
"""Counters go to the supervisor unasked, too: what a killed worker had counted is lost back to here."""

MAIN_PROCESS_EVENTS = ("main_process_start", "main_process_ready", "main_process_stop")
"""What Sanic runs in its main process: ours never imports the service."""

RELOAD_EVENTS = ("reload_process_start", "reload_process_stop", "before_reload_trigger", "after_reload_trigger")
"""What Sanic runs in its reloader: ours never imports the service either."""

EXIT_S = 2.0
"""How long a worker that has nothing left to do may take to exit: threads that do not end would keep it for ever."""


class Worker:
    """One worker's life in its loop. `await run()` gives the exit status."""

    def __init__(self, spec: WorkerSpec, sock: socket.socket, lifeline: Lifeline) -> None:
        self._spec = spec
        self._sock = sock
        self._lifeline = lifeline
        self._service: Service | None = None
        self._channel: Channel[FromSupervisor]
        self._deadline_s = 0.0
        self._drain_asked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Start, serve until told to drain, drain."""
        self._channel = await Channel.open(self._sock, FromSupervisor)
        self._run_beside(self._hear())
        try:
            service = self._prepare()
            is_up = await service.start_unless(self._drain_asked)
        except Exception as error:
            failure = describe_failure(error, self._spec.target)
            self._channel.send(failure)
            return await self._leave(failure.exit_status)
        if is_up:
            self._report_ready(service)
            await self._drain_asked.wait()
            await service.drain(self._deadline_s)
            self._send_metrics()
        return await self._leave(0)

    def _prepare(self) -> Service:
        """Import the service. From here on SIGTERM does not end the process any more."""
        spec = self._spec
        stream = configure_logs(settle_config(spec.options), service_name(spec.target), worker=spec.slot)
        app = load_target(spec.target)
        apply_options(app, spec.options)
        stream = configure_app_logs(stream, app)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._retire)
        return Service(app, [socket.socket(fileno=descriptor) for descriptor in spec.listener_fds], stream)

    def _report_ready(self, service: Service) -> None:
        self._service = service
        self._channel.send(service.beat())
        app, loop = service.app, describe_loop(asyncio.get_running_loop())
        self._channel.send(Changed(WorkerState.READY, name=app.name, debug=app.debug, loop=loop))
        unheard = [event for event in MAIN_PROCESS_EVENTS if app.lifecycle.listeners(event)]
        if unheard and self._spec.slot == 0:
            logger.warning("these listeners run in a single process only", extra={"on": unheard})
        never = [event for event in RELOAD_EVENTS if app.lifecycle.listeners(event)]
        if never and self._spec.slot == 0:
            logger.warning("these listeners never run: files are watched without the service", extra={"on": never})
        if self._spec.slot == 1:  # the second worker: from now on there is more than one
            for what, shared in local_state().items():
                logger.warning("each worker has its own: share it, or serve with one worker", extra={"what": what, "use": shared})
        self._run_beside(service.keep_checking())
        self._run_beside(self._beat(service))

    async def _leave(self, status: int) -> int:
        self._lifeline.leave_by(time.monotonic() + EXIT_S, status)
        for task in self._tasks:
            task.cancel()
        await self._channel.close()
        return status

    async def _beat(self, service: Service) -> None:
        beats = 0
        async for beat in service.beats():
            if self._channel.is_congested:
                continue
            self._channel.send(beat)
            if cause := service.retirement_cause():
                self._channel.send(Retire(cause))
            beats += 1
            if beats % METRICS_EVERY_BEATS == 0:
                self._send_metrics()

    async def _hear(self) -> None:
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Drain):
                self._drain(message.deadline_s)
            elif isinstance(message, CollectMetrics):
                self._send_metrics(message.serial)
            elif isinstance(message, Inspect):
                self._run_beside(self._inspect(message))
            elif isinstance(message, Call):
                self._run_beside(self._call(message))
        self._drain(time.monotonic() + self._spec.graceful_shutdown_timeout_s)  # the supervisor is gone

    def _drain(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._lifeline.leave_by(deadline_s + CLEANUP_S, 0)
        self._drain_asked.set()

    def _retire(self) -> None:
        self._channel.send(Retire(f"{signal.SIGTERM.name} to the worker"))

    def _send_metrics(self, serial: int = 0) -> None:
        if self._service is None:
            return
        try:
            self._channel.send(Metrics(self._service.metrics(), serial))
        except Exception:  # a gauge of the service's own that raises, or more series than fit: no reason to stop beating
            logger.exception("metrics could not be collected")

    async def _inspect(self, question: Inspect) -> None:
        from fairlead.telemetry.inspection import inspect  # hardly ever needed

        problem, text = await inspect(question.seconds, question.format)
        self._channel.send(Inspected(question.serial, text, problem))

    async def _call(self, question: Call) -> None:
        assert self._service is not None  # only a worker that is ready is asked
        problem, text = await call(self._service.app, question.name, question.words)
        self._channel.send(Inspected(question.serial, text, problem))

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main(channel_fd: int) -> int:
    """Run the worker at the other end of a channel; returns the exit status."""
    disregard(signal.SIGINT, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    sock = socket.socket(fileno=channel_fd)
    try:
        spec = receive_now(sock, WorkerSpec)
    except EOFError:  # the supervisor died between the spawn and the first message
        return 1
    record_into(spec.black_box_fd)
    for descriptor in (channel_fd, *spec.listener_fds):
        os.set_inheritable(descriptor, False)
    lifeline = Lifeline(spec.supervisor_pid, spec.graceful_shutdown_timeout_s + CLEANUP_S, leave=_leave)
    lifeline.start()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        status = runner.run(Worker(spec, sock, lifeline).run())
    gc.freeze()  # PERF: 100 ms less until the supervisor hears of the end: the interpreter collects no garbage any more
    return status


def _leave(status: int) -> None:
    """End at once, with what was logged."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
