"""What befalls the service, one function for each event: each starts its own, judges it, and returns a row of the table."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.load import Load, Mix, Tally
from tests.chaos.process import Prober, ServiceProcess
from tests.chaos.rooms import run_rooms

__all__ = ["EVENTS", "Row", "Setting"]

PROBE_LIMIT_S = 0.1
HEALTHY_S = 10.2
"""A worker that dies sooner after its start counts towards a crash loop."""

MEMORY_GROUP = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class Setting:
    """On what, and how much."""

    workers: int
    loop: str
    stubs: Path
    requests: int
    """To be answered, at least, in each event under load."""
    reloads: int = 10
    kills: int = 20
    cycles: int = 10
    """Over how many runs the requests of a SIGTERM event are spread."""


@dataclass
class Row:
    """One line of the table. `problems` is empty when all held."""

    event: str
    answered: int = 0
    failed: str = "–"
    rest: str = ""
    problems: list[str] = field(default_factory=list)

    def require(self, holds: bool, problem: str) -> None:
        """Note what does not hold."""
        if not holds and problem not in self.problems:
            self.problems.append(problem)

    def judge_probes(self, prober: Prober) -> None:
        """All in time."""
        self.rest += f"; probes ≤ {prober.slowest_s * 1000:.0f} ms"
        self.require(prober.slowest_s <= PROBE_LIMIT_S, f"a probe took {prober.slowest_s * 1000:.0f} ms")
        self.require(prober.not_live == 0, "/livez said no")


Event = Callable[[Setting], Awaitable[Row]]
EVENTS: dict[str, Event] = {}


def event(function: Event) -> Event:
    """Part of the table."""
    EVENTS[function.__name__.replace("_", "-")] = function
    return function


@asynccontextmanager
async def _service(setting: Setting, name: str = "app", **settings: object) -> AsyncIterator[ServiceProcess]:
    service = await ServiceProcess.start(setting.workers, setting.loop, setting.stubs, name, **settings)
    try:
        yield service
    finally:
        await service.clear()


@event
async def sigterm(setting: Setting) -> Row:
    """SIGTERM while all work ends before the deadline."""
    row, failures, latest_s = Row("SIGTERM, work ends in time"), Counter[str](), 0.0
    codes: Counter[int] = Counter()
    for _ in range(setting.cycles):
        async with _service(setting) as service:
            await service.ready()
            prober, load = Prober(service.port("management")), Load(service.port()).start()
            await load.until(setting.requests // setting.cycles)
            load.may_end = True
            service.signal(signal.SIGTERM)
            tally = await load.ended()
            status, ended_s = await service.end()
            prober.stop()
            latest_s = max(latest_s, ended_s - tally.last_answer_s)
            row.answered += tally.answered
            codes += tally.close_codes
            failures += _failures(tally)
            row.require(status == 0, f"exit status {status}")
            row.require(not service.orphans(), "orphans")
    row.failed = _shown(failures)
    row.rest = f"exit {latest_s:.2f} s after the last answer; websockets {dict(codes)}"
    row.require(not failures, "requests failed")
    row.require(latest_s <= 0.5, f"exit {latest_s:.2f} s after the last answer")
    row.require(set(codes) <= {1012}, f"websockets closed with {sorted(codes)}")
    row.judge_probes(prober)
    return row


@event
async def deadline(setting: Setting) -> Row:
    """SIGTERM while some work outlasts the deadline."""
    row, timeout_s, too_long = Row("SIGTERM, work outlasts it"), 2, 3
    async with _service(setting, graceful_shutdown_timeout=timeout_s) as service:
        await service.ready()
        load = Load(service.port()).start()
        endless = Load(service.port(), Mix(0, 0, 0, too_long, 0, long_s=60)).start()
        prober = Prober(service.port("management"))
        await asyncio.sleep(0.3)
        await load.until(setting.requests // setting.cycles)
        load.may_end = endless.may_end = True
        asked_s = service.signal(signal.SIGTERM)
        tally, cut = await load.ended(), await endless.ended()
        _, ended_s = await service.end()
        prober.stop()
    took_s = ended_s - asked_s
    logged = [line for _, line in service.lines("request cut at the deadline of the drain")]
    row.answered, row.failed = tally.answered, _shown(_failures(tally))
    row.rest = f"{len(cut.failures)} cut ({_shown(_failures(cut))}), exit after {took_s:.2f} s of {timeout_s}, {len(logged)} logged"
    row.require(not tally.failures, "other requests failed")
    row.require(abs(took_s - timeout_s) <= 0.5, f"exit after {took_s:.2f} s")
    named = [line for line in logged if line.get("request_id") and line.get("route")]
    row.require(len(named) == too_long == len(cut.failures), f"{len(named)} of {too_long} logged with id and route")
    row.judge_probes(prober)
    return row


@event
async def reload(setting: Setting) -> Row:
    """Rolling restarts in a row, under load."""
    row = Row(f"rolling reload ×{setting.reloads}")
    async with _service(setting) as service:
        await service.ready()
        prober, load = Prober(service.port("management")), Load(service.port()).start()
        for number in range(1, setting.reloads + 1):
            await load.until(setting.requests * number // (setting.reloads + 1))
            service.signal(signal.SIGHUP)
            await service.event("rolling restart is complete", number)
        await load.until(setting.requests)
        tally = await load.stop()
        prober.stop()
    row.answered, row.failed = tally.answered, _shown(_failures(tally))
    row.rest = f"never below {prober.fewest_ready} ready; {len(tally.pids)} workers answered"
    row.require(not tally.failures, "requests failed")
    row.require(prober.fewest_ready >= setting.workers, f"only {prober.fewest_ready} ready")
    row.require(prober.unready_s is None, "/readyz said no")
    row.judge_probes(prober)
    return row


@event
async def scale(setting: Setting) -> Row:
    """More workers, then fewer, again and again, under load."""
    row, rounds, more = Row(f"scale up and down ×{setting.reloads}"), setting.reloads, setting.workers + 2
    async with _service(setting) as service:
        await service.ready()
        prober, load = Prober(service.port("management")), Load(service.port()).start()
        for number in range(1, rounds + 1):
            for count in (more, setting.workers):
                outcome = await service.command(f"/scale?workers={count}")
                row.require(outcome == "done", f"scale said {outcome!r}")
            await load.until(setting.requests * number // rounds)
        tally = await load.stop()
        prober.stop()
    row.answered, row.failed = tally.answered, _shown(_failures(tally))
    row.rest = f"{setting.workers} ↔ {more} workers; never below {prober.fewest_ready} ready"
    row.require(not tally.failures, "requests failed")
    row.require(prober.fewest_ready >= setting.workers, f"only {prober.fewest_ready} ready")
    row.judge_probes(prober)
    return row


@event
async def kill(setting: Setting) -> Row:
    """`kill -9`, one worker after the other."""
    row, late_s = Row(f"kill -9 ×{setting.kills}"), 0.0
    async with _service(setting) as service:
        await service.ready()
        prober, load = Prober(service.port("management")), Load(service.port()).start()
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
    row.answered, row.failed = tally.answered, _shown(_failures(tally))
    row.rest = f"{len(foreign)} in other hands; ready {late_s:.2f} s beyond the start; {tally.refused} refused"
    row.require(not foreign, "requests of other workers failed")
    row.require(tally.refused == 0, "connections were refused")
    row.require(late_s <= 0.3, f"replaced {late_s:.2f} s late")
    row.judge_probes(prober)
    return row


@event
async def block(setting: Setting) -> Row:
    """A handler that never gives the loop back."""
    row, threshold_s = Row("a handler blocks for ever"), 2.0
    async with _service(setting, worker_heartbeat_timeout=threshold_s) as service:
        await service.ready()
        prober, load = Prober(service.port("management")), Load(service.port()).start()
        await load.until(200)
        began_s = time.monotonic()
        _, writer = await asyncio.open_connection("127.0.0.1", service.port())
        writer.write(b"GET /block HTTP/1.1\r\nHost: chaos\r\n\r\n")
        failed_s, line = await service.event("worker has failed")
        await service.event("worker is ready", setting.workers + 1)
        await load.until(load.tally.answered + 200)
        tally = await load.stop()
        writer.close()
        prober.stop()
    foreign = [failure for failure in tally.failures if failure.pid not in (0, line["worker_pid"])]
    row.answered, row.failed = tally.answered, _shown(_failures(tally))
    row.rest = f"{len(foreign)} in other hands; ended after {failed_s - began_s:.1f} s of {threshold_s:g}"
    row.require(not foreign, "requests of other workers failed")
    row.require(failed_s - began_s <= threshold_s + 1.5, "noticed late")
    row.require("block_for_ever" in str(line.get("stack")), "no stack in the log")
    row.judge_probes(prober)
    return row


@event
async def listener(setting: Setting) -> Row:
    """A listener raises at the start."""
    row = Row("listener raises at start")
    async with _service(setting, "failing") as service:
        status, _ = await service.end()
        causes = service.stderr.count("no route to the moon") - service.stderr.count("RuntimeError: no route to the moon\n")
        row.rest = f"exit {status}, {len(service.orphans())} orphans, cause ×{service.stderr.count('fairlead:')}"
        row.require(status == 1, f"exit status {status}")
        row.require(causes <= 1 and service.stderr.count("fairlead:") == 1, "the cause is not printed once")
        row.require(not service.orphans(), "orphans")
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
        async with _service(setting) as service:
            await service.ready()
            own = [service.process.pid, *(service.worker_pid(worker) for worker in range(setting.workers))]
            for pid in own:
                (group / "cgroup.procs").write_text(str(pid))
            load = Load(service.port()).start()
            (group / "memory.limit_in_bytes").write_text(str((90 * setting.workers + 160) * 1024 * 1024))
            for number in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", service.port())
                writer.write(b"GET /eat HTTP/1.1\r\nHost: chaos\r\n\r\n")
                async with asyncio.timeout(30):
                    _, line = await service.event("worker has failed", number + 1)
                writer.close()
                row.require("out of memory" in str(line.get("cause")), f"logged as {line.get('cause')!r}")
                await asyncio.sleep(1.5)
            tally = await load.stop()
            dead = {int(line["worker_pid"]) for _, line in service.lines("worker has failed")}
            lowered = bool(service.lines("workers are scaled"))
        foreign = [failure for failure in tally.failures if failure.pid not in dead | {0}]
        row.answered, row.failed = tally.answered, _shown(_failures(tally))
        row.rest = f"{len(foreign)} in other hands; count {'lowered' if lowered else 'kept'}"
        row.require(not foreign, "requests of other workers failed")
        row.require(lowered or setting.workers == 1, "the count was not lowered")
    finally:
        with suppress(OSError):
            group.rmdir()
    return row


@event
async def signals(setting: Setting) -> Row:
    """SIGTERM during the start, during a reload, and twice."""
    row, parts = Row("SIGTERM in start, reload, twice"), []
    for name, scene in (("start", _term_in_start), ("reload", _term_in_reload), ("twice", _term_twice)):
        async with _service(setting, "lingering" if name == "start" else "app") as service:
            took_s, status, limit_s = await scene(service)
            parts.append(f"{name}: exit {status} after {took_s:.2f} s")
            row.require(took_s <= limit_s, f"{name}: took {took_s:.2f} s")
            row.require(not service.orphans(), f"{name}: orphans")
    row.rest = ", ".join(parts)
    return row


async def _term_in_start(service: ServiceProcess) -> tuple[float, int, float]:
    await service.event("worker is starting")
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    return ended_s - asked_s, status, 2.0


async def _term_in_reload(service: ServiceProcess) -> tuple[float, int, float]:
    await service.ready()
    service.signal(signal.SIGHUP)
    await service.event("worker is being replaced")
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    return ended_s - asked_s, status, 2.5


async def _term_twice(service: ServiceProcess) -> tuple[float, int, float]:
    await service.ready()
    endless = Load(service.port(), Mix(0, 0, 0, 2, 0, long_s=60), may_end=True).start()
    await asyncio.sleep(0.3)
    service.signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    await endless.ended()
    return ended_s - asked_s, status, 1.0


@event
async def restarts(setting: Setting) -> Row:
    """What a supervisor keeps of workers that are gone."""
    rounds = max(setting.reloads, 4)
    row = Row(f"{rounds * setting.workers} replaced workers")
    async with _service(setting) as service:
        await service.ready()
        samples: list[tuple[int, int]] = []
        for number in range(1, rounds + 1):
            service.signal(signal.SIGHUP)
            await service.event("rolling restart is complete", number)
            samples.append((service.descriptors(), service.resident_kib()))
        row.require(len(service.orphans()) == setting.workers, f"{len(service.orphans())} processes")
    (_, kib), (last_files, last_kib) = samples[1], samples[-1]
    files = max(count for count, _ in samples[:3])
    row.rest = f"files {files} → {last_files}, memory {kib} → {last_kib} KiB, {setting.workers} processes"
    row.require(last_files <= files, "file descriptors leak")
    row.require(last_kib - kib <= 64 * rounds * setting.workers, "memory grows")
    return row


def _failures(tally: Tally) -> Counter[str]:
    return Counter(f"{failure.style}: {failure.how}" for failure in tally.failures)


def _shown(failures: Counter[str] | dict[str, Any]) -> str:
    total = sum(failures.values())
    return "0" if not total else f"{total} ({', '.join(f'{name} ×{count}' for name, count in failures.items())})"


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
