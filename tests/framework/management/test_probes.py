"""What the probes say of every state of the workers (mission K1)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.probes import Verdict, live, ready, started
from fairlead.workers.messages import CheckResult, WorkerState

STARTING, READY, DRAINING, STOPPED, FAILED = WorkerState

WELL = CheckResult("database", "readiness", critical=True)
SICK = CheckResult("database", "readiness", critical=True, error="connection refused")
SICK_BUT_MINOR = CheckResult("cache", "readiness", critical=False, error="away")
MIGRATED = CheckResult("schema", "startup", critical=True)
NOT_MIGRATED = CheckResult("schema", "startup", critical=True, error="at revision 3, not 4")


def worker(state: WorkerState = READY, number: int = 0, **fields: Any) -> WorkerStatus:
    """A worker that is well but for what is said."""
    return WorkerStatus(number, state, **{"pid": 7, "restarts": 0, "silent_s": 0.5, "checks": (), **fields})


def fleet(*workers: WorkerStatus, draining: bool = False) -> FleetStatus:
    """Workers with a heartbeat time-out of 30 s and a start time-out of 60 s."""
    return FleetStatus("shop", draining, 30.0, 60.0, workers)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (fleet(worker()), Verdict(True)),
        (fleet(worker(STARTING), worker()), Verdict(True)),
        (fleet(worker(FAILED), worker()), Verdict(True)),
        (fleet(worker(checks=(WELL, SICK_BUT_MINOR))), Verdict(True)),
        (fleet(worker(checks=(SICK,)), worker(checks=(WELL,))), Verdict(True)),
        (fleet(worker(), draining=True), Verdict(False, "draining")),
        (fleet(worker(STARTING)), Verdict(False, "no worker is ready")),
        (fleet(worker(FAILED), worker(DRAINING)), Verdict(False, "no worker is ready")),
        (fleet(worker(silent_s=6.0)), Verdict(False, "no worker is ready")),
        (fleet(worker(silent_s=6.0), worker()), Verdict(True)),
        (fleet(worker(checks=None)), Verdict(False, "the checks have not been run yet")),
        (fleet(worker(checks=(WELL, SICK))), Verdict(False, "database: connection refused")),
        (fleet(worker(checks=(SICK,)), worker(silent_s=9.0)), Verdict(False, "database: connection refused")),
        (fleet(worker(checks=(NOT_MIGRATED, WELL))), Verdict(False, "schema: at revision 3, not 4")),
        (fleet(), Verdict(False, "no worker is ready")),
    ],
)
def test_readiness(status: FleetStatus, verdict: Verdict) -> None:
    """K1: one worker that is ready, in touch and well is enough; draining is the end of it."""
    assert ready(status) == verdict


@pytest.mark.parametrize(
    ("status", "is_alive"),
    [
        (fleet(worker()), True),
        (fleet(worker(checks=(SICK,))), True),
        (fleet(worker(), draining=True), True),
        (fleet(worker(DRAINING, silent_s=500.0), draining=True), True),
        (fleet(worker(silent_s=29.0)), True),
        (fleet(worker(silent_s=34.0)), True),
        (fleet(worker(silent_s=36.0)), False),
        (fleet(worker(), worker(silent_s=36.0)), False),
        (fleet(worker(STARTING, silent_s=36.0)), True),
        (fleet(worker(FAILED, silent_s=36.0)), True),
        (fleet(worker(STARTING, silent_s=96.0)), False),
        (fleet(worker(FAILED, silent_s=96.0)), False),
    ],
)
def test_liveness(status: FleetStatus, is_alive: bool) -> None:
    """K1: never dependencies, well while draining, and only when a replacement does not get well either."""
    assert live(status).ok is is_alive


def test_liveness_names_the_silent_worker() -> None:
    """K1: whichever worker it is, it shows."""
    silent = worker(number=3, silent_s=40.4)
    assert live(fleet(worker(), silent)) == Verdict(False, "worker 3 has not been heard of for 40 s")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (fleet(worker(STARTING)), Verdict(False, "no worker has started")),
        (fleet(worker(FAILED)), Verdict(False, "no worker has started")),
        (fleet(worker(STARTING), worker()), Verdict(True)),
        (fleet(worker(checks=None)), Verdict(False, "the checks have not been run yet")),
        (fleet(worker(checks=(NOT_MIGRATED,))), Verdict(False, "schema: at revision 3, not 4")),
        (fleet(worker(checks=(MIGRATED, SICK))), Verdict(True)),
        (fleet(worker(DRAINING), draining=True), Verdict(True)),
    ],
)
def test_start_up(status: FleetStatus, verdict: Verdict) -> None:
    """K1: listeners done and start-up checks passed, in one worker; readiness checks don't count."""
    assert started(status) == verdict


CHECKS = st.none() | st.lists(st.sampled_from([WELL, SICK, SICK_BUT_MINOR, MIGRATED, NOT_MIGRATED])).map(tuple)
WORKERS = st.builds(worker, st.sampled_from(WorkerState), silent_s=st.floats(0, 200), checks=CHECKS)


@given(st.lists(WORKERS, max_size=4), st.booleans())
def test_probes_agree_with_each_other(workers: list[WorkerStatus], draining: bool) -> None:
    """K1: what is ready has started; every refusal has a reason, every consent says "ok"."""
    status = fleet(*workers, draining=draining)
    if ready(status).ok:
        assert started(status).ok
    for probe in (started, live, ready):
        verdict = probe(status)
        assert verdict.ok == (verdict.reason == "ok")
