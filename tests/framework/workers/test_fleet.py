"""Rolling restarts, retirement, and the counters of workers that come and go (missions K5, K10)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import Any


async def test_a_rolling_restart_loses_no_request(start: Any) -> None:
    """K5: SIGHUP replaces every worker, the new one first, and no request under load fails."""
    service = await (await start("--workers", "2")).ready()
    before = {service.worker_pid(0), service.worker_pid(1)}
    restarted = asyncio.create_task(service.event("rolling restart is complete", workers=2))
    service.signal(signal.SIGHUP)
    answers = []
    while not restarted.done():
        answers += await asyncio.gather(*(service.get("/pid") for _ in range(4)))
    after = {service.worker_pid(0), service.worker_pid(1)}
    assert {status for status, _ in answers} == {200}
    assert not before & after
    assert {int((await service.get("/pid"))[1]) for _ in range(8)} <= after
    for worker in (0, 1):
        starting = service.find("worker is starting", worker=worker)[1]
        draining = service.find("worker is draining", worker=worker)[0]
        assert service.events.index(starting) < service.events.index(draining)


async def test_a_rolling_restart_cuts_no_connection_in_use(start: Any) -> None:
    """K5: clients that keep their connection busy are told to leave by `Connection: close`, never cut off."""
    service = await (await start("--workers", "2")).ready()
    restarted = asyncio.Event()
    clients = [asyncio.create_task(keep_busy(service.port(), restarted)) for _ in range(8)]
    await asyncio.sleep(2.5)  # older than the second for which a connection counts as just used
    service.signal(signal.SIGHUP)
    await service.event("rolling restart is complete")
    restarted.set()
    connections = await asyncio.gather(*clients)
    assert sum(connections) >= 16  # each client was sent away by its old worker


async def keep_busy(port: int, until: asyncio.Event) -> int:
    """Send one request after the other on a kept connection, and count the connections that it took."""
    connections = 0
    while not until.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connections += 1
        head = b""
        while b"connection: close" not in head and not until.is_set():
            writer.write(b"GET / HTTP/1.1\r\nHost: tested\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert await reader.readexactly(5) == b"hello"
            await asyncio.sleep(0.005)
        writer.close()
    return connections


async def test_a_rolling_restart_waits_for_requests_in_flight(start: Any) -> None:
    """K5: the old worker finishes what it has."""
    service = await (await start()).ready()
    slow = await service.connect("/slow/1")
    await service.in_flight(1)
    service.signal(signal.SIGHUP)
    assert await slow.answer() == (200, "slow and whole")
    await service.event("rolling restart is complete")
    assert "cause" not in service.find("worker has stopped")[0]


async def test_a_rolling_restart_runs_the_new_code(start: Any) -> None:
    """K5: that is what it is for."""
    service = await (await start()).ready()
    module = service.folder / "service_under_test.py"
    module.write_text(module.read_text().replace('"hello"', '"good day"'))
    service.signal(signal.SIGHUP)
    await service.event("rolling restart is complete")
    assert await service.get("/") == (200, "good day")


async def test_when_the_new_code_fails_the_old_workers_stay(start: Any) -> None:
    """K5: a broken release takes nothing down, and what is wrong with it is in the log."""
    service = await (await start("--workers", "2")).ready()
    before = [service.worker_pid(0), service.worker_pid(1)]
    (service.folder / "service_under_test.py").write_text("raise RuntimeError('a broken release')")
    service.signal(signal.SIGHUP)
    await service.event("rolling restart abandoned, the old workers stay", worker=0)
    assert "a broken release" in service.find("worker has failed")[0]["cause"]
    answers = [await service.get("/pid") for _ in range(8)]
    assert {status for status, _ in answers} == {200}
    assert {int(pid) for _, pid in answers} <= set(before)


async def test_sigterm_during_a_rolling_restart_is_an_ordinary_end(start: Any) -> None:
    """K2, K5: whatever is on its way up or down ends with the rest."""
    service = await (await start("--workers", "2")).ready()
    service.signal(signal.SIGHUP)
    await service.event("worker is being replaced")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert service.processes() == []


async def test_sigterm_to_a_worker_replaces_it_without_a_gap(start: Any) -> None:
    """K5: `kill` on one worker asks the supervisor for a replacement; what it has in flight is answered."""
    service = await (await start()).ready()
    first = service.worker_pid()
    slow = await service.connect("/slow/1")
    os.kill(first, signal.SIGTERM)
    await service.event("worker is being replaced", cause="SIGTERM to the worker")
    assert await slow.answer() == (200, "slow and whole")
    assert (await service.event("worker has stopped"))["worker_pid"] == first
    assert await service.get("/pid") == (200, str(service.worker_pid()))
    assert service.find("worker has failed") == []


async def test_asking_a_worker_twice_replaces_it_once(start: Any) -> None:
    """K5: the second SIGTERM means the same worker, not its replacement."""
    service = await (await start()).ready()
    first = service.worker_pid()
    os.kill(first, signal.SIGTERM)
    await service.event("worker is being replaced")
    os.kill(first, signal.SIGTERM)
    await service.event("worker has stopped")
    assert await service.get("/pid") == (200, str(service.worker_pid()))
    assert len(service.find("worker is starting")) == 2


async def test_a_rolling_restart_passes_a_worker_that_is_coming_up(start: Any) -> None:
    """K5: one that has just died is replaced by its own slot; the others still get their turn."""
    service = await (await start("--workers", "2")).ready()
    second = service.worker_pid(1)
    os.kill(service.worker_pid(0), signal.SIGKILL)
    service.signal(signal.SIGHUP)
    await service.event("rolling restart is complete")
    await service.event("worker is ready", worker=0, count=2)
    assert service.worker_pid(1) != second
    assert {status for status, _ in [await service.get("/") for _ in range(8)]} == {200}


async def test_a_collector_that_raises_ends_nobody(start: Any) -> None:
    """K10: what a service measures of itself may fail; the worker goes on beating and serving."""
    broken = """
from fairlead.telemetry.metrics import registry

class Broken:
    def collect(self):
        raise RuntimeError("no reading")

registry.add(Broken())
"""
    service = await (await start(more=broken)).ready()
    assert (await service.probe("/metrics"))[0] == 200
    await service.event("metrics could not be collected")
    assert await service.get("/") == (200, "hello")


async def test_counters_survive_a_replacement(start: Any) -> None:
    """K10: one /metrics for all workers, and a counter never goes down because a worker has ended."""
    service = await (await start("--workers", "2")).ready()
    for _ in range(10):
        await service.get("/")
    assert await requests_counted(service) == 10
    service.signal(signal.SIGHUP)
    await service.event("rolling restart is complete")
    await service.get("/")
    assert await requests_counted(service) == 11
    metrics = (await service.probe("/metrics"))[1]
    assert 'fairlead_worker_restarts_total{worker="0",cause="replaced"} 1' in metrics
    assert 'fairlead_worker_restarts_total{worker="0",cause="died"} 0' in metrics
    assert 'fairlead_workers{state="ready"} 2' in metrics


async def test_metrics_do_not_wait_for_a_blocked_worker(start: Any) -> None:
    """K10: it counts with its last snapshot."""
    service = await (await start()).ready()
    await service.get("/")
    assert await requests_counted(service) == 1
    await service.connect("/block/3600")
    await service.event("event loop is blocked")
    assert await requests_counted(service) == 1


async def requests_counted(service: Any) -> int:
    """The requests to "/" that /metrics knows of."""
    status, body = await service.probe("/metrics")
    assert status == 200
    series = r'^http_server_request_duration_seconds_count\{[^}]*http_route="/",[^}]*\} (\S+)$'
    return sum(int(float(value)) for value in re.findall(series, body, re.MULTILINE))
