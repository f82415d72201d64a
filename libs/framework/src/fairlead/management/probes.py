"""What Kubernetes asks, answered from the state of the workers alone (mission K1).

| probe | asks | fails when |
|---|---|---|
| `/startupz` | is it up? | no worker is ready, or start-up checks (migrations) do not pass yet |
| `/livez` | would a restart help? | a slot's loop is silent and its replacement has not come up either |
| `/readyz` | may traffic come? | draining; no worker ready and in touch; critical checks fail in every worker |

Liveness never asks a dependency: restarting every pod because a database is away makes an outage worse. It stays well
while draining, or the kubelet would kill a pod that is finishing its requests. A worker that has died or is blocked is the
supervisor's business first: only when no replacement gets well either is a restart of the pod better.

No probe runs a check: the workers do, once in a while, and report the results with their beats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.workers.messages import CheckResult, WorkerState

__all__ = ["OUT_OF_TOUCH_S", "PROBES", "Probe", "Verdict", "live", "ready", "started"]

OUT_OF_TOUCH_S: Final = 5.0
"""A worker that has not been heard of for this long gets no credit for readiness; it beats each second."""

REPLACING_S: Final = 5.0
"""Beyond the heartbeat time-out: ending a blocked worker takes up to a second, spawning the next a moment."""


class Verdict(Struct, frozen=True):
    """The answer of a probe. `reason` is a few words for whoever reads `kubectl describe`."""

    ok: bool
    reason: str = "ok"


Probe = Callable[[FleetStatus], Verdict]


def started(status: FleetStatus) -> Verdict:
    """`/startupz`: the listeners of at least one worker are done, and its start-up checks pass."""
    up = [worker for worker in status.workers if worker.state in (WorkerState.READY, WorkerState.DRAINING)]
    if not up:
        return Verdict(False, "no worker has started")
    return _passes(up, lambda check: check.kind == "startup")


def live(status: FleetStatus) -> Verdict:
    """`/livez`: every slot has a loop that answers, or may still hope for one."""
    for worker in status.workers:
        if worker.silent_s > _longest_silence_s(worker, status):
            return Verdict(False, f"worker {worker.worker} has not been heard of for {worker.silent_s:.0f} s")
    return Verdict(True)


def ready(status: FleetStatus) -> Verdict:
    """`/readyz`: traffic is welcome, and there is a worker that can take it."""
    if status.draining:
        return Verdict(False, "draining")
    fit = [worker for worker in status.workers if _is_in_touch(worker, status)]
    if not fit:
        return Verdict(False, "no worker is ready")
    return _passes(fit, lambda check: check.critical)


PROBES: Final[dict[str, Probe]] = {"startupz": started, "livez": live, "readyz": ready}


def _longest_silence_s(worker: WorkerStatus, status: FleetStatus) -> float:
    if worker.state is WorkerState.DRAINING:  # the drain's deadline watches over it
        return float("inf")
    if worker.state is WorkerState.READY:
        return status.heartbeat_timeout_s + REPLACING_S
    return status.heartbeat_timeout_s + REPLACING_S + status.start_timeout_s


def _is_in_touch(worker: WorkerStatus, status: FleetStatus) -> bool:
    return worker.state is WorkerState.READY and worker.silent_s <= min(OUT_OF_TOUCH_S, status.heartbeat_timeout_s)


def _passes(workers: Iterable[WorkerStatus], counts: Callable[[CheckResult], bool]) -> Verdict:
    """One worker whose checks pass is enough; without any, the reason is the first failure."""
    reason = "the checks have not been run yet"
    for worker in workers:
        if worker.checks is None:
            continue
        failed = next((check for check in worker.checks if counts(check) and check.error), None)
        if failed is None:
            return Verdict(True)
        reason = f"{failed.name}: {failed.error}"
    return Verdict(False, reason)
