"""Ends: asked for, cut short, in the middle of something else, or before there was a beginning."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

from tests.chaos.load import Load, Mix
from tests.chaos.prober import Prober
from tests.chaos.process import ServiceProcess
from tests.chaos.table import Row, Setting, event, failures_of, service_under, shown


@event
async def sigterm(setting: Setting) -> Row:
    """SIGTERM while all work ends before the deadline."""
    row, failures, latest_s = Row("SIGTERM, work ends in time"), Counter[str](), 0.0
    codes: Counter[int] = Counter()
    probers: list[Prober] = []
    streams = tidied = 0
    for _ in range(setting.cycles):
        async with service_under(setting) as service:
            await service.ready()
            prober, load = Prober(service.management_port), Load(service.port).start()
            probers.append(prober)
            await load.until(setting.requests // setting.cycles)
            load.may_end = True
            service.signal(signal.SIGTERM)
            tally = await load.ended()
            status, ended_s = await service.end()
            prober.stop()
            latest_s = max(latest_s, ended_s - tally.last_answer_s)
            row.answered += tally.answered
            codes += tally.close_codes
            streams += tally.ended_streams
            tidied += len(service.lines("background task has tidied up"))
            failures += failures_of(tally)
            row.require(status == 0, f"exit status {status}")
            row.require(not service.orphans(), "orphans")
    row.failed = shown(failures)
    row.rest = f"exit {latest_s:.2f} s after the last answer; websockets {dict(codes)}, {streams} event streams ended"
    row.require(not failures, "requests failed")
    row.require(latest_s <= 0.5, f"exit {latest_s:.2f} s after the last answer")
    row.require(set(codes) <= {1012}, f"websockets closed with {sorted(codes)}")
    row.require(streams >= Mix.streams * setting.cycles, f"{streams} event streams ended")
    row.require(tidied == setting.workers * setting.cycles, f"{tidied} background tasks tidied up")
    row.judge_probes(*probers, drains=True)
    return row


@event
async def deadline(setting: Setting) -> Row:
    """SIGTERM while some work outlasts the deadline."""
    row, timeout_s, too_long = Row("SIGTERM, work outlasts it"), 2, 3
    async with service_under(setting, graceful_shutdown_timeout=timeout_s) as service:
        await service.ready()
        load = Load(service.port).start()
        endless = Load(service.port, Mix(0, 0, 0, too_long, 0, 0, long_s=60)).start()
        prober = Prober(service.management_port)
        await asyncio.sleep(0.3)
        await load.until(setting.requests // setting.cycles)
        load.may_end = endless.may_end = True
        asked_s = service.signal(signal.SIGTERM)
        tally, cut = await load.ended(), await endless.ended()
        _, ended_s = await service.end()
        prober.stop()
    took_s = ended_s - asked_s
    logged = [line for _, line in service.lines("request cut at the deadline of the drain")]
    row.answered, row.failed = tally.answered, shown(failures_of(tally))
    row.rest = (
        f"{len(cut.failures)} cut ({shown(failures_of(cut))}), exit after {took_s:.2f} s of {timeout_s}, {len(logged)} logged"
    )
    row.require(not tally.failures, "other requests failed")
    row.require(abs(took_s - timeout_s) <= 0.5, f"exit after {took_s:.2f} s")
    named = [line for line in logged if line.get("request_id") and line.get("route")]
    row.require(len(named) == too_long == len(cut.failures), f"{len(named)} of {too_long} logged with id and route")
    row.judge_probes(prober, drains=True)
    return row


@event
async def listener(setting: Setting) -> Row:
    """A listener raises at the start."""
    row = Row("listener raises at start")
    async with service_under(setting, "failing") as service:
        status, _ = await service.end()
        causes = service.stderr.count("no route to the moon") - service.stderr.count("RuntimeError: no route to the moon\n")
        row.rest = f"exit {status}, {len(service.orphans())} orphans, cause ×{service.stderr.count('fairlead:')}"
        row.require(status == 1, f"exit status {status}")
        row.require(causes <= 1 and service.stderr.count("fairlead:") == 1, "the cause is not printed once")
        row.require(not service.orphans(), "orphans")
    return row


@event
async def signals(setting: Setting) -> Row:
    """SIGTERM during the start, during a reload, and twice."""
    row, parts, probers = Row("SIGTERM in start, reload, twice"), [], []
    for name, scene in (("start", _term_in_start), ("reload", _term_in_reload), ("twice", _term_twice)):
        async with service_under(setting, "lingering" if name == "start" else "app") as service:
            prober = Prober(service.management_port)
            took_s, status, limit_s = await scene(service)
            prober.stop()
            probers.append(prober)
            parts.append(f"{name}: exit {status} after {took_s:.2f} s")
            row.require(name != "start" or bool(prober.seen.not_started), "/startupz said yes before the start")
            row.require(took_s <= limit_s, f"{name}: took {took_s:.2f} s")
            row.require(not service.orphans(), f"{name}: orphans")
    row.rest = ", ".join(parts)
    row.judge_probes(*probers)
    return row


async def _term_in_start(service: ServiceProcess) -> tuple[float, int, float]:
    await service.event("worker is starting")
    await asyncio.sleep(0.3)
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    return ended_s - asked_s, status, 5.0  # no hang: as long as all the interpreters take to start side by side


async def _term_in_reload(service: ServiceProcess) -> tuple[float, int, float]:
    await service.ready()
    service.signal(signal.SIGHUP)
    await service.event("worker is being replaced")
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    return ended_s - asked_s, status, 2.5


async def _term_twice(service: ServiceProcess) -> tuple[float, int, float]:
    await service.ready()
    endless = Load(service.port, Mix(0, 0, 0, 2, 0, 0, long_s=60), may_end=True).start()
    await asyncio.sleep(0.3)
    service.signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    asked_s = service.signal(signal.SIGTERM)
    status, ended_s = await service.end()
    await endless.ended()
    return ended_s - asked_s, status, 1.0
