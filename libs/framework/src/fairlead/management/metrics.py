"""The state of the workers as metrics, in the form in which the workers send theirs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from fairlead.management.fleet import FleetStatus
from fairlead.telemetry.metrics import Snapshot
from fairlead.telemetry.snapshot import Family, Kind, family
from fairlead.workers.messages import WorkerState

__all__ = ["fleet_snapshot"]

STARTED_S: Final = round(time.time(), 3)
"""Of this process: a supervisor, or a single process, which imports this as it starts."""


def fleet_snapshot(status: FleetStatus) -> Snapshot:
    """One series for each worker slot; the number of workers by state, zeros included, for alerts to rest on."""
    workers = [(str(worker.worker), worker) for worker in status.workers]
    states = [(str(state), sum(worker.state is state for worker in status.workers)) for state in WorkerState]
    per_worker = ["worker"]
    return {
        "fairlead_workers": _family("gauge", "Worker slots by the state of their worker.", ["state"], states),
        "fairlead_worker_restarts_total": family(
            "counter",
            "Workers that were started in another one's place, by cause.",
            [((label, str(cause)), count) for label, worker in workers for cause, count in worker.restart_causes.items()],
            labels=[*per_worker, "cause"],
        ),
        "fairlead_worker_silence_seconds": _family(
            "gauge",
            "Time since the worker's loop was last heard of.",
            per_worker,
            [(label, round(worker.silent_s, 3)) for label, worker in workers],
        ),
        "fairlead_worker_loop_lag_seconds": _family(
            "gauge",
            "How late the loop was at its last beat.",
            per_worker,
            [(label, worker.lag_s) for label, worker in workers],
        ),
        "fairlead_worker_requests_in_flight": _family(
            "gauge", "Requests being handled.", per_worker, [(label, worker.in_flight) for label, worker in workers]
        ),
        "fairlead_worker_connections": _family(
            "gauge", "Open connections.", per_worker, [(label, worker.connections) for label, worker in workers]
        ),
        "process_start_time_seconds": _family("gauge", "When the service was started, as Unix time.", [], [("", STARTED_S)]),
        "fairlead_draining": _family("gauge", "1 while the service is draining.", [], [("", int(status.draining))]),
    }


def _family(kind: Kind, text: str, labels: list[str], values: Sequence[tuple[str, float]]) -> Family:
    return family(kind, text, [((label,) if labels else (), value) for label, value in values], labels=labels)
