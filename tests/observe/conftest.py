"""The three services, running, for whoever wants to look at them from outside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fairlead.local.console import Console
from fairlead.local.plan import Service, read_services, with_ports
from fairlead.local.ports import free_port
from fairlead.local.stack import Stack
from tests.observe.prometheus import ROOT


@pytest.fixture(scope="session")
def services(server_thread: Any, server_directory: Path, redis_server_url: str) -> dict[str, Service]:
    """The three of them, as `make run` starts them, on free ports."""
    found = with_ports(read_services(ROOT), free_port)
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "FAIRLEAD_WORKERS")}
    console = Console([service.name for service in found])
    environ["REDIS_URL"] = redis_server_url
    server_thread.enter(Stack(found, data=server_directory / "observe", environ=environ, console=console))
    return {service.name: service for service in found}
