"""The management port itself (mission K1)."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.server import serve_management
from fairlead.telemetry.metrics import Snapshot
from fairlead.workers.listener import open_listener
from fairlead.workers.messages import WorkerState


class Fleet:
    """One worker that is well."""

    def status(self) -> FleetStatus:
        """Always the same."""
        worker = WorkerStatus(0, WorkerState.READY, pid=7, restarts=0, silent_s=0.0, checks=())
        return FleetStatus("shop", False, 30.0, 60.0, (worker,))

    async def metrics(self) -> Snapshot:
        """None."""
        return {}


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_it_answers_while_the_context_is_open() -> None:
    """K1: a port of its own; afterwards it is free again, whoever was still connected."""
    listener = open_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serve_management(Fleet(), listener):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # a peer that never says anything
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/readyz")).text == "ok\n"
    assert await reader.read() == b""
    writer.close()
    open_listener("127.0.0.1", port).close()
