"""Load for as long as `--soak-seconds` says: no request fails, no worker is replaced, memory stays where it was (K3, K5)."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairlead.local.plan import Service

from .conftest import Deployment
from .test_running import helm_test_path, migrate

CLIENTS = 4
WARM_UP_S = 2
GROWTH_BYTES = 4 * 1024**2
"""What a heap may settle by; a leak of 1 byte a request shows within an hour."""


def load(deployment: Deployment, path: str, seconds: float) -> Counter[int]:
    """The statuses of all answers in that time."""
    stop = threading.Event()

    def client() -> Counter[int]:
        seen: Counter[int] = Counter()
        while not stop.is_set():
            seen += deployment.get_often(path, times=50)
        return seen

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(client) for _ in range(CLIENTS)]
        time.sleep(seconds)  # the load itself, nothing that could be awaited
        stop.set()
        return sum((each.result() for each in running), Counter())


def test_soak(deployment: Deployment, plan: tuple[Service, tuple[Service, ...]], request: pytest.FixtureRequest) -> None:
    """One worker in 128 MiB: after the warm-up nothing grows, and every answer is 200."""
    migrate(deployment, plan[0])
    options = ["--memory=128m", "--memory-swap=128m", "--env=FAIRLEAD_WORKERS=1"]
    with deployment.start(options=options) as container:
        deployment.await_status(200, "/readyz", container)
        path = helm_test_path(plan[0].name)
        load(deployment, path, WARM_UP_S)
        before = container.resident_bytes
        statuses = load(deployment, path, request.config.getoption("--soak-seconds"))
        assert set(statuses) == {200}
        after = container.resident_bytes
        assert all(later - earlier < GROWTH_BYTES for earlier, later in zip(before, after, strict=True)), (before, after)
        starts = [line for line in container.logs.splitlines() if json.loads(line)["event"] == "worker is starting"]
        assert len(starts) == 1
        assert not container.was_killed_for_memory
