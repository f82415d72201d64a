"""What a supervisor keeps of workers that are gone: files, processes, memory."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from unittest import mock

from fairlead.workers.listener import open_listener
from fairlead.workers.plan import Plan
from fairlead.workers.process import WorkerProcess
from fairlead.workers.reaper import Reaper
from tests.chaos.table import Row, Setting, event, service_under

KIB_PER_RESTART = 0.25
"""A leak would keep a process, a channel and a task: kilobytes each."""

NOISE_KIB = 2048
"""How far Python's heap breathes."""

SETTLED = 0.2
"""The share of all rounds after which growth counts."""


@event
async def restarts(setting: Setting) -> Row:
    """Real workers, replaced again and again."""
    rounds = max(setting.restarts // setting.workers, 4)
    row = Row(f"{rounds * setting.workers} workers replaced")
    async with service_under(setting) as service:
        await service.ready()
        samples: list[tuple[int, int]] = []
        for number in range(1, rounds + 1):
            service.signal(signal.SIGHUP)
            await service.event("rolling restart is complete", number)
            samples.append((service.descriptors(), service.resident_kib()))
        row.require(len(service.orphans()) == setting.workers, f"{len(service.orphans())} processes")
    _judge(row, samples, rounds * setting.workers)
    return row


@event
async def burials(setting: Setting) -> Row:
    """Ten thousand processes that are started and buried as workers are, with a stand-in that ends at once.

    This takes seconds, and exercises all that a supervisor holds for a worker: process, channel, black box, timers, tasks.
    """
    row, loop, reaper = Row(f"{setting.burials} workers buried"), asyncio.get_running_loop(), Reaper()
    loop.add_signal_handler(signal.SIGCHLD, reaper.reap)
    try:
        with (
            open_listener("127.0.0.1", 0) as listener,
            mock.patch("fairlead.workers.process._interpreter", new=_stand_in),
            mock.patch("fairlead.workers.process.logger.isEnabledFor", new=_is_silent),
        ):
            samples = []
            for number in range(setting.burials):
                worker = WorkerProcess(Plan("chaos:app"), 0, listener, reaper, Nobody())
                await worker.start()
                await worker.ended.wait()
                if number % max(setting.burials // 100, 1) == 0:
                    samples.append((len(os.listdir("/proc/self/fd")), _resident_kib()))
    finally:
        loop.remove_signal_handler(signal.SIGCHLD)
    _judge(row, samples, setting.burials)
    return row


class Nobody:
    """Nobody: what a stand-in says is heard by none."""

    metrics_arrived = retirement_asked = inspected = worker_ended = staticmethod(lambda *_: None)


def _stand_in() -> list[str]:
    return ["/bin/true"]


def _is_silent(level: int) -> bool:
    return False


def _judge(row: Row, samples: list[tuple[int, int]], restarts: int) -> None:
    settled = samples[int(len(samples) * SETTLED) :]
    (files, kib), (last_files, last_kib) = settled[0], settled[-1]
    row.rest = f"files {files} → {last_files}, memory {kib} → {last_kib} KiB"
    row.require(last_files <= max(count for count, _ in samples[:3]), "file descriptors leak")
    row.require(last_kib - kib <= max(KIB_PER_RESTART * restarts, NOISE_KIB), "memory grows")


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
