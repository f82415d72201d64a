"""What `helm test` runs in a cluster, run here against the real services: it passes, and it can fail (C1, C3, K9)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairlead.local.console import Console
from fairlead.local.plan import Service, read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack

from .conftest import Render
from .helm import CHART, ROOT

REQUEST, WEBSOCKET = (CHART / "scripts" / name for name in ("request.py", "websocket.py"))
LIVE_PRICE = ROOT / "charts" / "stack" / "scripts" / "live_price.py"


@pytest.fixture(scope="module")
def services(server_thread: Any, server_directory: Path) -> dict[str, Service]:
    """auth, catalog and feed on free ports, with PostgreSQL and Valkey."""
    planned = with_ports(read_services(ROOT), free_port)
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "FAIRLEAD_WORKERS")}
    console = Console([service.name for service in planned])
    server_thread.enter(Stack(planned, data=server_directory / "helm-test", environ=environ, console=console))
    return {service.name: service for service in planned}


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script as the Job calls it: as text, by the image's Python."""
    return subprocess.run(
        [sys.executable, "-c", script.read_text(), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_scripts_arrive_whole(render: Render) -> None:
    """What the Job runs is the file, character by character."""
    manifests = render({"test": {"websocketPath": "/ws"}})
    scripts = [job["spec"]["template"]["spec"]["containers"][0]["args"][0].strip() for job in manifests.all("Job")]
    assert [REQUEST.read_text().strip(), WEBSOCKET.read_text().strip()] == scripts


def test_request(services: dict[str, Service]) -> None:
    """It passes for a path that answers, and fails for one that does not."""
    assert run(REQUEST, f"{services['catalog'].url}/v1/products").returncode == 0
    assert run(REQUEST, f"{services['catalog'].url}/v1/nothing").returncode == 1


def test_websocket(services: dict[str, Service]) -> None:
    """It passes for a websocket that answers, and fails where there is none."""
    address = services["feed"].url.replace("http", "ws", 1)
    assert run(WEBSOCKET, f"{address}/ws/products").returncode == 0
    assert run(WEBSOCKET, f"{address}/ws/nothing").returncode == 1


def test_live_price(services: dict[str, Service]) -> None:
    """Signed up, signed in, a product with the token, seen on the websocket; a service that is no catalogue fails it."""
    auth, catalog, feed = (services[name].url for name in ("auth", "catalog", "feed"))
    done = run(LIVE_PRICE, auth, catalog, feed)
    assert done.returncode == 0, done.stderr
    assert "seen on the websocket" in done.stdout
    assert run(LIVE_PRICE, auth, feed, feed).returncode == 1
