"""The two programs that make the load: Debian's wrk for HTTP, `load/websocket.py` for websockets.

Both run on a core of their own and report how much of it they needed: a loader at its limit measures itself.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass

from benchmarks import environment
from benchmarks.workloads import LOAD, Workload

CONNECTIONS = 64
SATURATED = 0.95
"""From this share of its core on, the loader is what was measured."""


class LoadFailed(Exception):
    """The load was not answered as it should have been."""


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    per_second: float
    load_cpu: float
    """The share of its core that the loader needed."""
    p99_ms: float | None = None
    per_cpu_second: float | None = None
    """Answers for each second of the server's CPU time: steadier than `per_second` where others use the machine, too."""

    @property
    def is_saturated(self) -> bool:
        """Whether the server could do more than the loader can ask for."""
        return self.load_cpu >= SATURATED


def missing() -> str | None:
    """What keeps the HTTP workloads from being measured; None when nothing does."""
    if shutil.which("wrk") is None:
        return "wrk is not installed: only websockets can be measured (Debian: apt-get install wrk)"
    return None


def measure(workload: Workload, port: int, core: int, seconds: int) -> Sample:
    """Put one server under load. Raises `LoadFailed` when an answer was wrong or missing."""
    return _websocket(port, core, seconds) if workload.is_websocket else _wrk(workload, port, core, seconds)


def _websocket(port: int, core: int, seconds: int) -> Sample:
    command = [str(environment.PYTHON), str(LOAD / "websocket.py"), str(port), str(core), str(CONNECTIONS), str(seconds)]
    try:
        done = subprocess.run(
            command, env=environment.variables(), capture_output=True, text=True, timeout=seconds + 30, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed("websockets were not opened or not answered in time") from None
    if done.returncode != 0:
        raise LoadFailed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}")
    result = json.loads(done.stdout)
    if result["errors"]:
        raise LoadFailed(f"{result['errors']} of {CONNECTIONS} websockets did not echo")
    return Sample(result["per_second"], result["load_cpu"])


def _wrk(workload: Workload, port: int, core: int, seconds: int) -> Sample:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    for name, value in workload.headers.items():
        command += ["-H", f"{name}: {value}"]
    if workload.script is not None:
        command += ["-s", str(workload.script)]
    command.append(f"http://127.0.0.1:{port}{workload.target}")
    with tempfile.NamedTemporaryFile() as body:
        if workload.body is not None:
            body.write(workload.body_bytes)
            body.flush()
            command += ["--", body.name]
        before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started_s
    if done.returncode != 0:
        raise LoadFailed(done.stderr.strip() or done.stdout.strip())
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return parse_wrk(done.stdout, cpu_s / wall_s)


_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.MULTILINE)
_P99 = re.compile(r"^\s+99%\s+([0-9.]+)(us|ms|s)\b", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Non-2xx or 3xx responses: \d+|Socket errors: .*)$", re.MULTILINE)
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def parse_wrk(text: str, load_cpu: float) -> Sample:
    """The numbers in wrk's report. Raises `LoadFailed` when it tells of errors, or of nothing."""
    trouble, rate, p99 = _TROUBLE.search(text), _RATE.search(text), _P99.search(text)
    if trouble is not None:
        raise LoadFailed(trouble[1])
    if rate is None or float(rate[1]) == 0:
        raise LoadFailed("no request was answered")
    return Sample(float(rate[1]), load_cpu, float(p99[1]) * _MS[p99[2]] if p99 is not None else None)
