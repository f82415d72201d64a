"""One worker process, as the supervisor sees it: from the spawn to the burial.

How this works. A worker is spawned by exec (`python -m fairlead.workers.worker`), never forked from the running loop,
and inherits three descriptors: its end of the control channel, the slot's listening socket and its black box. What it
needs to know is the first message on the channel. It is in one state at a time; each change is logged once, with its
cause:

    starting ──→ ready ──→ draining ──→ stopped        failed: whatever ends it unasked, from any state
        └──────────────────────────────↑

One timer stands guard. It holds the moment at which the state will have lasted too long: a start that takes more than
the start time-out, a loop that sends no beat, a drain past its deadline, an exit that hangs. A worker that is overdue
is ended by SIGABRT, which makes it write its stacks into the black box, and a second later by SIGKILL. When the timer
itself comes late, this process was stopped (a debugger, a frozen container), and no silence counts from that time.

Signals are blocked while the child is spawned and unblocked by it once it has its handlers: the Ctrl-C that the terminal
sends to every process of the group can't hit the interpreter while it starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Protocol

from fairlead.workers.black_box import BlackBox
from fairlead.workers.cgroup import oom_kills
from fairlead.workers.channel import Channel, ChannelError
from fairlead.workers.messages import (
    Beat,
    Call,
    Changed,
    CollectMetrics,
    Drain,
    FromWorker,
    Inspect,
    Inspected,
    Metrics,
    RestartCause,
    Retire,
    WorkerSpec,
    WorkerState,
)
from fairlead.workers.plan import Plan
from fairlead.workers.reaper import Reaper
from fairlead.workers.signals import HELD_SIGNALS, describe_exit

__all__ = ["CLEANUP_S", "WorkerObserver", "WorkerProcess"]

logger = logging.getLogger("fairlead.workers")

CLEANUP_S = 4.0
"""Beyond the drain's deadline, for shutdown listeners, telemetry and pools; with the next one 5 s, as charts grant."""

ABORT_GRACE_S = 1.0
"""Between SIGABRT and SIGKILL. Writing the stacks takes milliseconds."""

STOPPED_S = 1.0
"""A timer of ours that is later than this tells of a pause of ours."""

_EVENTS = {
    WorkerState.STARTING: "worker is starting",
    WorkerState.READY: "worker is ready",
    WorkerState.DRAINING: "worker is draining",
    WorkerState.STOPPED: "worker has stopped",
    WorkerState.FAILED: "worker has failed",
}


class WorkerObserver(Protocol):
    """Who hears of a worker's metrics, wishes and end."""

    def metrics_arrived(self, worker: WorkerProcess, metrics: Metrics) -> object: ...

    def inspected(self, answer: Inspected) -> object: ...
    def retirement_asked(self, worker: WorkerProcess, cause: str) -> object: ...
    def worker_ended(self, worker: WorkerProcess) -> object: ...


class WorkerProcess:
    """One worker. Call `start` once, then `drain` or `end`; `ended` is set when the process is buried."""

    def __init__(self, plan: Plan, slot: int, listener: socket.socket, reaper: Reaper, observer: WorkerObserver) -> None:
        self.slot = slot
        self.state = WorkerState.STARTING
        self.cause = ""
        self.failure: Changed | None = None
        """What the worker itself reported before it failed."""
        self.greeting: Changed | None = None
        """What the worker said of its app when it was ready."""
        self.settled = asyncio.Event()
        """Set once the worker is ready, or has ended without ever being so."""
        self.ended = asyncio.Event()
        self.ran_out_of_memory = False
        """Whether the kernel killed it for want of memory."""
        self.was_blocked = False
        """Whether it was ended because its loop stood still."""
        self.logs_detail = True
        """Whether a failure is logged with its traceback; not where that is printed elsewhere."""
        self.last_beat: Beat | None = None
        self.last_sign_s = self.started_s = time.monotonic()
        self.ready_s: float | None = None
        self._plan = plan
        self._reaper = reaper
        self._observer = observer
        self._listener = listener
        self._black_box = BlackBox()
        self._oom_kills = oom_kills()
        self._deadline_s: float | None = None
        self._overdue = ""
        self._timer: asyncio.TimerHandle | None = None
        self._channel: Channel[FromWorker] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._burial: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id. Only after `start`."""
        return self._process.pid

    @property
    def healthy_s(self) -> float:
        """For how long the worker has been, or was, ready and beating."""
        return self.last_sign_s - self.ready_s if self.ready_s is not None else 0.0

    @property
    def restart_cause(self) -> RestartCause:
        """What another worker in its place is counted under. Only after it has died."""
        if self.ran_out_of_memory:
            return RestartCause.OUT_OF_MEMORY
        return RestartCause.BLOCKED if self.was_blocked else RestartCause.DIED

    async def start(self) -> None:
        """Spawn the process and tell it what to do. Raises OSError when there is no room for another process."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._spawn(theirs)
            except OSError:
                ours.close()
                self._black_box.close()
                raise
        self._reaper.watch(self._process, self._died)
        self._channel = await Channel.open(ours, FromWorker)
        self._channel.send(self._spec())
        self._hearing = asyncio.create_task(self._hear(self._channel), name=f"hear worker {self.slot}")
        self._log(_EVENTS[WorkerState.STARTING])
        self._set_guard()

    def drain(self, deadline_s: float) -> None:
        """Let it finish what it has, until `deadline_s` (CLOCK_MONOTONIC). A later call can only shorten that."""
        if self.ended.is_set():
            return
        if self._deadline_s is None or deadline_s < self._deadline_s:
            self._deadline_s = deadline_s
            self._send(Drain(deadline_s))
        if self.state is WorkerState.STARTING:  # it may be importing, and hear nothing; nothing is in flight yet
            self._signal(signal.SIGTERM)
        elif self.state is WorkerState.READY:
            self._become(WorkerState.DRAINING)
        self._set_guard()

    def end(self, cause: str) -> None:
        """End the worker now (SIGKILL). What it has in flight is lost."""
        self._overdue = self._overdue or cause
        self._signal(signal.SIGKILL)

    def ask_for_metrics(self, serial: int) -> bool:
        """Ask for a snapshot; it arrives at the observer. False when this worker can't answer."""
        if self.state not in (WorkerState.READY, WorkerState.DRAINING):
            return False
        self._send(CollectMetrics(serial))
        return True

    def ask(self, question: Inspect | Call) -> bool:
        """Ask for a dump, a profile, or a command's run; the observer gets the answer. False when this worker can't answer."""
        if self.state not in (WorkerState.READY, WorkerState.DRAINING):
            return False
        self._send(question)
        return True

    # --- spawning ----------------------------------------------------------------------------------------------------

    def _spawn(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        descriptors = (channel.fileno(), self._listener.fileno(), self._black_box.fd)
        command = [*_interpreter(), "-m", "fairlead.workers.worker", str(channel.fileno()), self._plan.target]
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
        try:
            return subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _spec(self) -> WorkerSpec:
        return WorkerSpec(
            target=self._plan.target,
            slot=self.slot,
            supervisor_pid=os.getpid(),
            listener_fds=(self._listener.fileno(),),
            black_box_fd=self._black_box.fd,
            graceful_shutdown_timeout_s=self._plan.graceful_shutdown_timeout_s,
            options=dict(self._plan.options),
        )

    # --- what it says ------------------------------------------------------------------------------------------------

    async def _hear(self, channel: Channel[FromWorker]) -> None:
        try:
            while (message := await channel.receive()) is not None:
                self._take(message)
        except ChannelError as error:
            self.end(f"broke the control channel: {error}")

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Beat):
            self.last_beat = message
            self.last_sign_s = time.monotonic()
            self._set_guard()
        elif isinstance(message, Inspected):
            self._observer.inspected(message)
        elif isinstance(message, Metrics):
            self._observer.metrics_arrived(self, message)
        elif isinstance(message, Retire):
            self._observer.retirement_asked(self, message.cause)
        elif message.state is WorkerState.READY and self.state is WorkerState.STARTING:
            self.greeting = message
            self._become(WorkerState.READY)
        elif message.state is WorkerState.FAILED:
            self.failure = message
            self.last_sign_s = time.monotonic()
            self._set_guard()

    def _become(self, state: WorkerState, cause: str = "", level: int = logging.INFO, stack: str = "") -> None:
        self.state, self.cause = state, cause
        fields: dict[str, object] = {"cause": cause} if cause else {}
        if state is WorkerState.READY:
            self.last_sign_s = self.ready_s = time.monotonic()
            self.settled.set()
            self._set_guard()
            fields["after_s"] = round(self.ready_s - self.started_s, 3)
        self._log(_EVENTS[state], level, stack, **fields)

    def _log(self, event: str, level: int = logging.INFO, stack: str = "", **fields: object) -> None:
        if logger.isEnabledFor(level):
            fields |= {"worker": self.slot, "worker_pid": self.pid}
            logger.handle(logger.makeRecord(logger.name, level, __file__, 0, event, (), None, None, fields, stack or None))

    # --- the guard ---------------------------------------------------------------------------------------------------

    def _limit(self) -> tuple[float, str]:
        """Until when the present state may last, and what to say of a worker that is still in it then."""
        if self.failure is not None:
            return self.last_sign_s + CLEANUP_S, "did not exit after it had failed"
        if self._deadline_s is not None:
            return self._deadline_s + CLEANUP_S, "was not done at the deadline"
        if self.state is WorkerState.STARTING:
            limit_s = self._plan.start_timeout_s
            return self.started_s + limit_s, f"was not ready within {limit_s:g} s"
        limit_s = self._plan.heartbeat_timeout_s
        return self.last_sign_s + limit_s, f"its loop has been blocked for {limit_s:g} s"

    def _set_guard(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._burial is None and not self._overdue:
            until_s, _ = self._limit()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(until_s - time.monotonic(), 0), self._check_limit)

    def _check_limit(self) -> None:
        now_s = time.monotonic()
        until_s, cause = self._limit()
        if self.state is WorkerState.READY and now_s - until_s > STOPPED_S:
            self.last_sign_s = now_s
            until_s, cause = self._limit()
        if now_s < until_s:
            self._set_guard()
            return
        self._overdue = cause
        self.was_blocked = self.state is WorkerState.READY
        self._signal(signal.SIGABRT)
        self._timer = asyncio.get_running_loop().call_later(ABORT_GRACE_S, self._signal, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Only ever to our own child, and never after its burial: `Popen` knows."""
        self._process.send_signal(number)

    def _send(self, message: Drain | CollectMetrics | Inspect | Call) -> None:
        if self._channel is not None:
            self._channel.send(message)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _died(self, status: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._burial = asyncio.create_task(self._bury(status), name=f"bury worker {self.slot}")

    async def _bury(self, status: int) -> None:
        """Hear the last words, say what it died of, give everything back."""
        if self._hearing is not None and self._channel is not None:
            await asyncio.wait([self._hearing], timeout=1)  # a grandchild that inherited the channel would keep it open
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
            await self._channel.close()
        self._conclude(status, self._black_box.report())
        self._black_box.close()
        self._observer.worker_ended(self)
        self.settled.set()
        self.ended.set()

    def _conclude(self, status: int, stacks: str) -> None:
        how = self._describe_death(status)
        if self._overdue:
            how = f"{self._overdue}; {how}"
        if self._deadline_s is not None:
            if status in (0, -signal.SIGTERM) and not self._overdue:
                self._become(WorkerState.STOPPED)
            else:
                self._become(WorkerState.STOPPED, how, logging.WARNING, stacks)
        elif self.failure is not None:
            detail = self.failure.detail if self.logs_detail else ""
            self._become(WorkerState.FAILED, self.failure.cause, logging.ERROR, detail)
        else:
            self._become(WorkerState.FAILED, how, logging.ERROR, stacks)

    def _describe_death(self, status: int) -> str:
        how = describe_exit(status)
        if status == -signal.SIGKILL and not self._overdue and oom_kills() > self._oom_kills:
            self.ran_out_of_memory = True
            return f"{how} (out of memory)"
        return how


def _interpreter() -> list[str]:
    """The running interpreter with the options that matter to the service's code."""
    options = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    options += ["-X", "dev"] if sys.flags.dev_mode else []
    return [sys.executable, *options, *(f"-W{option}" for option in sys.warnoptions)]
