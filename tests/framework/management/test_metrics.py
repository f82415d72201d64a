"""Worker states as metrics (mission K10)."""

from __future__ import annotations

import time

import psutil

from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.metrics import fleet_snapshot
from fairlead.telemetry.metrics import merge
from fairlead.workers.messages import RestartCause, WorkerState

CAUSES = {RestartCause.BLOCKED: 2, RestartCause.REPLACED: 0}


def test_every_worker_and_every_state_has_a_series() -> None:
    """K10: states without a worker are zero, so that an alert never compares with nothing."""
    workers = (
        WorkerStatus(0, WorkerState.READY, 7, 2, 0.12345, 10.0, lag_s=0.5, in_flight=3, connections=4, restart_causes=CAUSES),
        WorkerStatus(1, WorkerState.STARTING, 8, 0, 1.0),
    )
    snapshot = fleet_snapshot(FleetStatus("shop", True, 30.0, 60.0, workers))
    ((_, started_s),) = snapshot.pop("process_start_time_seconds")["series"]
    assert psutil.Process().create_time() < started_s < time.time()
    assert {name: family["series"] for name, family in snapshot.items()} == {
        "fairlead_workers": [
            (["starting"], 1),
            (["ready"], 1),
            (["draining"], 0),
            (["stopped"], 0),
            (["failed"], 0),
        ],
        "fairlead_worker_restarts_total": [(["0", "blocked"], 2), (["0", "replaced"], 0)],
        "fairlead_worker_silence_seconds": [(["0"], 0.123), (["1"], 1.0)],
        "fairlead_worker_loop_lag_seconds": [(["0"], 0.5), (["1"], 0.0)],
        "fairlead_worker_requests_in_flight": [(["0"], 3), (["1"], 0)],
        "fairlead_worker_connections": [(["0"], 4), (["1"], 0)],
        "fairlead_draining": [([], 1)],
    }


def test_it_can_be_merged_with_what_workers_send() -> None:
    """K10: the same form, so that one renderer does for both."""
    snapshot = fleet_snapshot(FleetStatus("shop", False, 30.0, 60.0, ()))
    assert merge([snapshot, {}])["fairlead_draining"]["series"] == [([], 0)]
