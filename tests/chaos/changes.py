"""Changes while it serves: workers that are replaced, added, killed, stuck, starved; new certificates."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.load import Connection, Load
from tests.chaos.prober import Prober
from tests.chaos.rooms import run_rooms
from tests.chaos.table import Row, Setting, event, failures_of, service_under, shown
from tests.framework.server.authority import Authority

HEALTHY_S = 11.5
"""A worker whose last beat came within ten seconds of its start counts towards a crash loop: its replacement waits."""

MEMORY_GROUP = Path("/sys/fs/cgroup/memory")


@event
async def reload(setting: Setting) -> Row:
    """Rolling restarts in a row, under load."""
    row = Row(f"rolling reload ×{setting.reloads}")
    async with service_under(setting) as service:
        await service.ready()
        prober, load = Prober(service.management_port), Load(service.port).start()
        for number in range(1, setting.reloads + 1):
            await load.until(setting.requests * number // (setting.reloads + 1))
            service.signal(signal.SIGHUP)
            await service.event("rolling restart is complete", number)
        await load.until(setting.requests)
        tally = await load.stop()
        prober.stop()
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = f"never below {prober.seen.fewest_ready} ready; {len(tally.pids)} workers answered"
    row.require(not tally.failures, "requests failed")
    row.require(prober.seen.fewest_ready >= setting.workers, f"only {prober.seen.fewest_ready} ready")
    row.judge_probes(prober, ready_throughout=True)
    return row


@event
async def scale(setting: Setting) -> Row:
    """More workers, then fewer, again and again, under load."""
    row, rounds, more = Row(f"scale up and down ×{setting.reloads}"), setting.reloads, setting.workers + 2
    async with service_under(setting) as service:
        await service.ready()
        prober, load = Prober(service.management_port), Load(service.port).start()
        for number in range(1, rounds + 1):
            for count in (more, setting.workers):
                outcome = await service.command(f"/scale?workers={count}")
                row.require(outcome == "done", f"scale said {outcome!r}")
            await load.until(setting.requests * number // rounds)
        tally = await load.stop()
        prober.stop()
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = f"{setting.workers} ↔ {more} workers; never below {prober.seen.fewest_ready} ready"
    row.require(not tally.failures, "requests failed")
    row.require(prober.seen.fewest_ready >= setting.workers, f"only {prober.seen.fewest_ready} ready")
    row.judge_probes(prober, ready_throughout=True)
    return row


@event
async def kill(setting: Setting) -> Row:
    """`kill -9`, one worker after the other."""
    row, late_s = Row(f"kill -9 ×{setting.kills}"), 0.0
    async with service_under(setting) as service:
        await service.ready()
        prober, load = Prober(service.management_port), Load(service.port).start()
        killed: set[int] = set()
        for number in range(setting.kills):
            if number and number % setting.workers == 0:
                await asyncio.sleep(HEALTHY_S)
            pid = service.worker_pid(number % setting.workers)
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
            now_s = time.monotonic()
            replaced_s, line = await service.event("worker is ready", since_s=now_s)
            late_s = max(late_s, replaced_s - now_s - float(line["after_s"]))
        await load.until(setting.requests)
        tally = await load.stop()
        prober.stop()
    foreign = [failure for failure in tally.failures if failure.pid not in killed | {0}]
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = f"{len(foreign)} in other hands; ready {late_s:.2f} s beyond the start; {tally.refused} refused"
    row.require(not foreign, "requests of other workers failed")
    row.require(tally.refused == 0, "connections were refused")
    row.require(late_s <= 0.3, f"replaced {late_s:.2f} s late")
    row.judge_probes(prober, ready_throughout=setting.workers > 1)
    return row


@event
async def block(setting: Setting) -> Row:
    """A handler that never gives the loop back."""
    row, threshold_s = Row("a handler blocks for ever"), 2.0
    async with service_under(setting, worker_heartbeat_timeout=threshold_s) as service:
        await service.ready()
        prober, load = Prober(service.management_port), Load(service.port).start()
        await load.until(200)
        began_s = time.monotonic()
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET /block HTTP/1.1\r\nHost: chaos\r\n\r\n")
        failed_s, line = await service.event("worker has failed")
        await service.event("worker is ready", setting.workers + 1)
        await load.until(load.tally.answered + 200)
        tally = await load.stop()
        writer.close()
        prober.stop()
    foreign = [failure for failure in tally.failures if failure.pid not in (0, line["worker_pid"])]
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = f"{len(foreign)} in other hands; ended after {failed_s - began_s:.1f} s of {threshold_s:g}"
    row.require(not foreign, "requests of other workers failed")
    row.require(failed_s - began_s <= threshold_s + 1.5, "noticed late")
    row.require("block_for_ever" in str(line.get("stack")), "no stack in the log")
    row.judge_probes(prober)
    return row


@event
async def oom(setting: Setting) -> Row:
    """The kernel kills a worker for want of memory, twice."""
    row, group = Row("OOM kill of a worker"), MEMORY_GROUP / f"fairlead-chaos-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(1024 * 1024 * 1024))
    except OSError as error:
        row.rest = f"NOT VERIFIED: no memory control group to be had here ({error.strerror})"
        return row
    try:
        async with service_under(setting) as service:
            await service.ready()
            own = [service.process.pid, *(service.worker_pid(worker) for worker in range(setting.workers))]
            for pid in own:
                (group / "cgroup.procs").write_text(str(pid))
            prober, load = Prober(service.management_port), Load(service.port).start()
            (group / "memory.limit_in_bytes").write_text(str((90 * setting.workers + 160) * 1024 * 1024))
            for number in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", service.port)
                writer.write(b"GET /eat HTTP/1.1\r\nHost: chaos\r\n\r\n")
                async with asyncio.timeout(30):
                    _, line = await service.event("worker has failed", number + 1)
                writer.close()
                row.require("out of memory" in str(line.get("cause")), f"logged as {line.get('cause')!r}")
                await asyncio.sleep(1.5)
            tally = await load.stop()
            prober.stop()
            dead = {int(line["worker_pid"]) for _, line in service.lines("worker has failed")}
            lowered = bool(service.lines("workers are scaled"))
        foreign = [failure for failure in tally.failures if failure.pid not in dead | {0}]
        row.answered, row.failed = tally.answered, shown(failures_of(tally))
        row.rest = f"{len(foreign)} in other hands; count {'lowered' if lowered else 'kept'}"
        row.require(not foreign, "requests of other workers failed")
        row.require(lowered or setting.workers == 1, "the count was not lowered")
        row.judge_probes(prober)
    finally:
        with suppress(OSError):
            group.rmdir()
    return row


@event
async def certificate(setting: Setting) -> Row:
    """A renewed certificate, and SIGHUP, under TLS load."""
    row, authority = Row("new certificate, SIGHUP"), Authority()
    trusting = authority.client()
    trusting.check_hostname = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = authority.issue(folder, "localhost")
        async with service_under(setting, tls_directories=folder, tls_reload_interval=0) as service:
            await service.ready()
            prober, load = Prober(service.management_port), Load(service.port, tls=trusting).start()
            await load.until(setting.requests // 50)
            row.require(await _shown_by(service.port, trusting) == before, "not the certificate that was there")
            after = authority.issue(folder, "localhost")
            service.signal(signal.SIGHUP)
            await service.event("rolling restart is complete")
            row.require(await _shown_by(service.port, trusting) == after, "still the certificate of before")
            await load.until(setting.requests // 20)
            tally = await load.stop()
            prober.stop()
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = "the new one is shown"
    row.require(not tally.failures, "requests failed")
    row.judge_probes(prober, ready_throughout=True)
    return row


async def _shown_by(port: int, tls: ssl.SSLContext) -> int:
    """The serial number of the certificate."""
    connection = await Connection.open(port, tls)
    connection.close()
    return connection.certificate


@event
async def rooms(setting: Setting) -> Row:
    """Redis and a worker killed while rooms are full, on two instances of its own (W9)."""
    is_short = setting.requests < 10_000
    clients, messages = (25, 2000) if is_short else (100, 10_000)
    outcome = await run_rooms(clients=clients, messages=messages, limit_s=300)
    row = Row(
        "Redis and a worker killed, rooms", answered=outcome.clients * outcome.messages // 4, failed=str(len(outcome.problems))
    )
    row.rest = f"{outcome.clients} clients at {outcome.workers} workers, {outcome.reconnects} came back"
    row.problems += outcome.problems[:3]
    row.require(outcome.reconnects > 0, "nobody was disturbed")
    return row
