"""What the management port knows of the workers, whoever runs them: a supervisor, or a single process.

The probes and the metrics are functions of a `FleetStatus`, which is plain data; a `Fleet` makes one whenever it is
asked. So the same management app serves a supervisor with many workers and a single process that watches itself.
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from fairlead.telemetry.metrics import Snapshot
from fairlead.workers.messages import CheckResult, RestartCause, WorkerState

__all__ = ["Fleet", "FleetStatus", "Operator", "WorkerStatus"]


class WorkerStatus(Struct, frozen=True):
    """One worker slot at a moment. Times are seconds."""

    worker: int
    state: WorkerState
    pid: int | None
    """None between a death and the next start."""
    restarts: int
    """How often a worker was started in another one's place."""
    silent_s: float
    """How long nothing has been heard of the slot's loop."""
    uptime_s: float = 0.0
    """How long it has been ready."""
    lag_s: float = 0.0
    in_flight: int = 0
    connections: int = 0
    checks: tuple[CheckResult, ...] | None = None
    """The last results of the health checks; None as long as none has been run."""
    restart_causes: dict[RestartCause, int] = {}
    """The restarts by why; empty where there can be none."""


class FleetStatus(Struct, frozen=True):
    """All worker slots at a moment, and what the probes judge them by."""

    name: str
    draining: bool
    heartbeat_timeout_s: float
    start_timeout_s: float
    workers: tuple[WorkerStatus, ...]


class Fleet(Protocol):
    """Whoever runs workers. Called in the loop of the management port."""

    def status(self) -> FleetStatus:
        """The state of every slot, now."""
        ...

    async def metrics(self) -> Snapshot:
        """The counters of all workers, living and dead, as of now. Workers that do not answer count as of last time."""
        ...


class Operator(Protocol):
    """Whoever can change what runs. Each wish waits for its outcome and returns what stood in its way, "" for success."""

    async def reload(self, cause: str) -> str:
        """Replace every worker, one after the other, without a gap."""
        ...

    async def scale(self, count: int, cause: str) -> str:
        """Run that many workers from now on."""
        ...

    async def stop(self, cause: str) -> str:
        """Begin to drain; that is what is waited for, not the end."""
        ...

    async def inspect(self, worker: int, seconds: float, format: Literal["text", "html"]) -> tuple[str, str]:
        """What the worker in a slot is doing: a dump of threads and tasks for 0 seconds, else a profile of that time.

        Returns why there is none, or "" and the text.
        """
        ...

    async def call(self, worker: int, name: str, words: tuple[str, ...]) -> tuple[str, str]:
        """Run a command of the application's own, in the worker in a slot, with `--name=value` words.

        Returns why it could not be run or failed, or "" and what it returned.
        """
        ...
