"""The three services, running, for whoever wants to look at them from outside."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.local.console import Console
from fairlead.local.plan import Service, read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack
from tests.charts.conftest import IMAGE
from tests.charts.helm import MAJORS, Helm, binary, merged
from tests.charts.manifests import Manifests
from tests.charts.test_monitoring import RULES
from tests.observe.load import put_under_load
from tests.observe.page import NAMESPACE
from tests.observe.prometheus import ROOT, Missing, Prometheus, Target, program

LOAD_S = 12.0


@pytest.fixture(scope="session")
def services(server_thread: Any, server_directory: Path, redis_server_url: str) -> dict[str, Service]:
    """The three of them, as `make run` starts them, on free ports."""
    found = with_ports(read_services(ROOT), free_port)
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "FAIRLEAD_WORKERS")}
    console = Console([service.name for service in found])
    environ["REDIS_URL"] = redis_server_url
    server_thread.enter(Stack(found, data=server_directory / "observe", environ=environ, console=console))
    return {service.name: service for service in found}


@pytest.fixture
async def prometheus(services: dict[str, Service], rules: list[dict[str, Any]], tmp_path: Path) -> AsyncIterator[Prometheus]:
    """One that has scraped the services under load."""
    try:
        program("prometheus")
    except Missing as reason:
        pytest.skip(f"queries NOT VERIFIED: {reason}")
    targets = [Target(service.name, service.management_url.removeprefix("http://")) for service in services.values()]
    async with Prometheus(tmp_path / "prometheus", targets, namespace=NAMESPACE, rules=rules) as prometheus:
        await put_under_load(services, LOAD_S)
        yield prometheus


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    """The chart's alerts."""
    newest = max(MAJORS)
    chart = Manifests.parse(Helm(binary(newest), newest).render(merged(IMAGE, RULES)))
    found: list[dict[str, Any]] = chart.of("PrometheusRule")["spec"]["groups"][0]["rules"]
    return found
