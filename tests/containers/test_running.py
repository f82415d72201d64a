"""The image at work, as in a strict cluster: read-only root, no capabilities, a user without a name (K2, K6, K8, C3)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from fairlead.local.plan import Service

from .conftest import Deployment
from .engine import ROOT

SMALL = ("--memory=128m", "--memory-swap=128m", "--cpus=0.5")

SLOW_APP = """
import asyncio
from fairlead import App, text

app = App("slow")

@app.before_server_start
async def prepare(app):
    app.ctx.arrived, app.ctx.release = asyncio.Event(), asyncio.Event()

@app.get("/hold")
async def hold(request):
    request.app.ctx.arrived.set()
    await request.app.ctx.release.wait()
    return text("whole")

@app.get("/arrived")
async def arrived(request):
    await request.app.ctx.arrived.wait()
    return text("yes")

@app.get("/release")
async def release(request):
    request.app.ctx.release.set()
    return text("released")
"""


def helm_test_path(name: str) -> str:
    """What `helm test` asks the service for."""
    values = yaml.safe_load((ROOT / "services" / name / "chart-values.yaml").read_text())
    return str(values["test"]["path"])


def migrate(deployment: Deployment, service: Service) -> None:
    """Brings the service's database up to date, from its own image."""
    if service.migrations:
        with deployment.start("migrate", options=SMALL) as container:
            assert container.wait() == 0, container.logs


def test_serves(deployment: Deployment, plan: tuple[Service, tuple[Service, ...]], measured: dict[str, str]) -> None:
    """128 MiB and half a CPU: migrated, ready, one worker by the quota, healthy, SIGTERM, exit 0.

    How long it takes to be ready is in the table at the end of the run: below 5 s on a quiet machine.
    """
    migrate(deployment, plan[0])
    with deployment.start(options=[*SMALL, "--health-interval=1s"]) as container:
        measured["ready after"] = f"{deployment.await_status(200, '/readyz', container):.1f} s"
        assert deployment.get("/livez", management=True)[0] == 200
        assert container.process_count == 2, container.logs  # the supervisor and one worker
        assert deployment.get(helm_test_path(plan[0].name))[0] == 200
        container.await_health("healthy")
        container.signal("TERM")
        assert container.wait() == 0, container.logs
        assert not container.was_killed_for_memory


def test_worker_stays_small(deployment: Deployment, plan: tuple[Service, tuple[Service, ...]], measured: dict[str, str]) -> None:
    """One worker stays below 60 MiB of resident memory, after 4,000 requests over eight connections."""
    migrate(deployment, plan[0])
    with deployment.start(options=["--memory=256m", "--env=FAIRLEAD_WORKERS=1"]) as container:
        deployment.await_status(200, "/readyz", container)
        path = helm_test_path(plan[0].name)
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: deployment.get_often(path, times=500), range(8)))
        assert answers == [{200: 500}] * 8
        supervisor, *workers = container.resident_bytes
        measured["resident, worker"] = f"{workers[0] / 1e6:.1f} MB"
        measured["resident, supervisor"] = f"{supervisor / 1e6:.1f} MB"
        assert len(workers) == 1
        assert workers[0] < 60 * 1024**2, workers


def test_migrates_once(deployment: Deployment, plan: tuple[Service, tuple[Service, ...]]) -> None:
    """The same image migrates; the second time there is nothing to do."""
    if not plan[0].migrations:
        pytest.skip(f"{plan[0].name} has no database")
    migrate(deployment, plan[0])
    with deployment.start("migrate") as container:
        assert container.wait() == 0
        assert "nothing to do" in container.logs


@pytest.mark.parametrize("command", ["check", "check-config"])
def test_checks_itself(deployment: Deployment, command: str) -> None:
    """`check` says without serving whether the configuration is complete; `check-config` is the same."""
    with deployment.start(command) as container:
        assert container.wait() == 0, container.logs
        assert "the configuration is valid" in container.logs


def test_missing_settings(bare: Deployment) -> None:
    """Without its settings a service stops at once with status 2 and names what is missing, without a traceback."""
    with bare.start() as container:
        assert container.wait() == 2, container.logs
        assert "is not set" in container.logs
        assert "Traceback" not in container.logs


def test_misspelt_setting(bare: Deployment) -> None:
    """A FAIRLEAD_ variable that does not exist is refused by name."""
    with bare.start(options=["--env=FAIRLEAD_WROKERS=2"]) as container:
        assert container.wait() == 2
        assert "FAIRLEAD_WROKERS" in container.logs


def workers_of(quota: str, deployment: Deployment, options: Sequence[str]) -> int:
    with deployment.start("serve", "slow:app", options=[f"--cpus={quota}", *options]) as container:
        deployment.await_status(200, "/readyz", container)
        return container.process_count - 1


@pytest.fixture
def slow_app(tmp_path: Path) -> tuple[str, ...]:
    """Two little applications, mounted into the container: `slow` holds a request, `stuck` is never imported."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW_APP)
    (folder / "stuck.py").write_text("import time; time.sleep(3600)")
    for path in (*folder.iterdir(), folder):
        path.chmod(0o755)
    return f"--volume={folder}:/app:ro", "--env=PYTHONPATH=/app"


@pytest.mark.parametrize(("quota", "workers"), [("0.5", 1), ("1.5", 2)])
def test_workers_follow_the_quota(bare: Deployment, slow_app: tuple[str, ...], quota: str, workers: int) -> None:
    """One worker for each CPU that the container may really use (K6)."""
    assert workers_of(quota, bare, slow_app) == workers


def test_memory_bounds_the_workers(bare: Deployment, slow_app: tuple[str, ...]) -> None:
    """A container with CPU for two and memory for one gets one (K6)."""
    assert workers_of("2", bare, [*slow_app, "--memory=128m"]) == 1


def test_drains(bare: Deployment, slow_app: tuple[str, ...]) -> None:
    """SIGTERM with a request in flight: not ready, but alive and serving; the answer arrives whole; exit 0 (K2)."""
    answers: list[tuple[int, bytes]] = []
    held = threading.Thread(target=lambda: answers.append(bare.get("/hold")))
    with bare.start("serve", "slow:app", options=[*slow_app, *SMALL, "--env=FAIRLEAD_DRAIN_DELAY=3"]) as container:
        bare.await_status(200, "/readyz", container)
        held.start()
        assert bare.get("/arrived") == (200, b"yes")
        container.signal("TERM")
        bare.await_status(503, "/readyz", container)
        assert bare.get("/livez", management=True)[0] == 200
        assert bare.get("/release") == (200, b"released")
        assert container.wait() == 0, container.logs
        held.join(10)
    assert answers == [(200, b"whole")]


def test_stops_before_it_is_ready(bare: Deployment, slow_app: tuple[str, ...]) -> None:
    """As PID 1 it heeds SIGTERM while the service's code is still being imported: no engine has to kill it (K3)."""
    with bare.start("serve", "stuck:app", options=slow_app) as container:
        container.await_log("worker is starting")
        container.signal("TERM")
        assert container.wait() == 0, container.logs
