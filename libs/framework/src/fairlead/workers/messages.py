"""What supervisor and worker tell each other: tagged structs, one union for each direction.

A message from a newer or older peer can't occur: both ends are the same installation, started by the same supervisor.
Times are CLOCK_MONOTONIC (`time.monotonic()`), which all processes of a machine share, so that one absolute deadline
can be passed down without being restarted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

__all__ = [
    "Beat",
    "Call",
    "Changed",
    "CheckResult",
    "CollectMetrics",
    "Drain",
    "FromSupervisor",
    "FromWorker",
    "Inspect",
    "Inspected",
    "Metrics",
    "RestartCause",
    "Retire",
    "WorkerSpec",
    "WorkerState",
]


class WorkerState(StrEnum):
    """starting → ready → draining → stopped, or failed from any of them."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class RestartCause(StrEnum):
    """Why a worker was started in another one's place."""

    REPLACED = "replaced"
    """On purpose: a reload, or it had lived long enough."""
    DIED = "died"
    """An exit or a signal that nobody of ours had asked for."""
    BLOCKED = "blocked"
    """Its loop stood still past the heartbeat's time-out, and it was ended."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel killed it for want of memory."""


class CheckResult(Struct, frozen=True):
    """The last outcome of one health check of one worker. `error` is "" when it went well."""

    name: str
    kind: str
    """`readiness` or `startup`."""
    critical: bool
    error: str = ""


class WorkerSpec(Struct, frozen=True, tag="spec"):
    """All that a worker must know to start; the first message on its channel."""

    target: str
    slot: int
    supervisor_pid: int
    listener_fds: tuple[int, ...]
    black_box_fd: int
    graceful_shutdown_timeout_s: float
    options: dict[str, Any] = field(default_factory=dict)
    """Configuration that was given to `serve` beside the environment, by key."""


class Drain(Struct, frozen=True, tag="drain"):
    """Stop accepting, finish what is in flight until `deadline_s`, shut down, exit 0."""

    deadline_s: float


class CollectMetrics(Struct, frozen=True, tag="collect-metrics"):
    """Answer with `Metrics` of the same `serial`."""

    serial: int


class Inspect(Struct, frozen=True, tag="inspect"):
    """Answer with `Inspected` of the same `serial`: a dump of threads and tasks, or a profile of `seconds`."""

    serial: int
    seconds: float = 0.0
    """0: a dump."""
    format: Literal["text", "html"] = "text"


class Call(Struct, frozen=True, tag="call"):
    """Run a command of the application's own (`@app.command`) and answer with `Inspected` of the same `serial`."""

    serial: int
    name: str
    words: tuple[str, ...] = ()
    """`--name=value`, as on a command line."""


class Changed(Struct, frozen=True, tag="state"):
    """The worker has reached a state. `name`, `debug` and `loop` describe the app once it is ready."""

    state: WorkerState
    cause: str = ""
    detail: str = ""
    """A short traceback, when there is one to show."""
    exit_status: int = 0
    name: str = ""
    debug: bool = False
    loop: str = ""


class Beat(Struct, frozen=True, tag="beat"):
    """A sign of life, sent each second by the loop itself."""

    time_s: float
    lag_s: float = 0.0
    in_flight: int = 0
    connections: int = 0
    checks: tuple[CheckResult, ...] | None = None
    """None as long as no check has been run yet."""


class Metrics(Struct, frozen=True, tag="metrics"):
    """All counters since the worker's start (cumulative), in the form of `fairlead.telemetry.metrics.snapshot`."""

    snapshot: dict[str, Any]
    serial: int = 0


class Inspected(Struct, frozen=True, tag="inspected"):
    """What an operator has asked a worker for."""

    serial: int
    text: str = ""
    problem: str = ""
    """Why there is no text."""


class Retire(Struct, frozen=True, tag="retire"):
    """The worker asks to be replaced, without a gap: start a new one, then drain me."""

    cause: str


FromSupervisor: TypeAlias = WorkerSpec | Drain | CollectMetrics | Inspect | Call
FromWorker: TypeAlias = Changed | Beat | Metrics | Inspected | Retire
