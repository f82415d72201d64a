"""The service under chaos as an operator has it: a process with a log, a probe port and signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fairlead.management.private_socket import socket_path

__all__ = ["ServiceProcess"]

REPOSITORY = Path(__file__).parents[2]


class ServiceProcess:
    """A supervisor with workers. `await start(...)`; at the end `await clear()`, which kills what is left."""

    def __init__(self, process: asyncio.subprocess.Process, management_port: int) -> None:
        self.process = process
        self.management_port = management_port
        self.log: list[tuple[float, dict[str, Any]]] = []
        self.stderr = ""
        self._readers = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_stderr())]

    @classmethod
    async def start(
        cls,
        workers: int,
        loop: str,
        stubs: Path,
        name: str = "app",
        *,
        module: str = "tests.chaos.target",
        redis_url: str = "",
        **settings: object,
    ) -> ServiceProcess:
        """Start `module:name` on free ports; the management's is known at once.

        `stubs` is a folder whose `uvloop.py` hides the real one, used where `loop` says so.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRLEAD_")}
        environment |= {f"FAIRLEAD_{key.upper()}": str(value) for key, value in settings.items()}
        environment["PYTHONPATH"] = os.pathsep.join([*([str(stubs)] if loop == "asyncio" else []), str(REPOSITORY)])
        environment["REDIS_URL"] = redis_url
        management = _free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fairlead", "serve", f"{module}:{name}", "--workers", str(workers)),
            *("--port", "0", "--management-port", str(management), "--log-format", "json", "--no-access-log"),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=1 << 24,
        )
        return cls(process, management)

    async def _read_log(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with suppress(ValueError):
                self.log.append((time.monotonic(), json.loads(line)))

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = (await self.process.stderr.read()).decode()

    def lines(self, event: str, since_s: float = 0.0) -> list[tuple[float, dict[str, Any]]]:
        """When a line of the log came, and the line."""
        return [(time_s, line) for time_s, line in self.log if line.get("event") == event and time_s >= since_s]

    async def event(self, event: str, count: int = 1, since_s: float = 0.0) -> tuple[float, dict[str, Any]]:
        """Wait for the `count`-th such line. Raises RuntimeError when the process ends without it."""
        while len(found := self.lines(event, since_s)) < count:
            if self.process.returncode is not None:
                raise RuntimeError(f"the service ended without {event!r}: {self.stderr or self.log[-5:]}")
            await asyncio.sleep(0.01)
        return found[count - 1]

    async def ready(self) -> ServiceProcess:
        """Wait until all workers are ready."""
        await self.event("service is ready")
        return self

    @property
    def port(self) -> int:
        """Of the traffic, once the service is ready."""
        return int(self.lines("service is ready")[0][1]["serving"].rpartition(":")[2])

    def worker_pid(self, worker: int) -> int:
        """The newest process of a slot."""
        return next(int(line["worker_pid"]) for _, line in reversed(self.lines("worker is ready")) if line["worker"] == worker)

    async def command(self, target: str) -> str:
        """POST to the management socket; the answer's text."""
        reader, writer = await asyncio.open_unix_connection(socket_path(self.management_port))
        writer.write(f"POST {target} HTTP/1.1\r\nHost: chaos\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n\r\n")[2].decode().strip()

    def signal(self, number: signal.Signals) -> float:
        """To the supervisor; returns when."""
        self.process.send_signal(number)
        return time.monotonic()

    async def end(self, limit_s: float = 60.0) -> tuple[int, float]:
        """Wait for the exit: status and time."""
        async with asyncio.timeout(limit_s):
            status = await self.process.wait()
        ended_s = time.monotonic()
        await asyncio.gather(*self._readers)
        return status, ended_s

    def orphans(self) -> list[int]:
        """Its workers that still run."""
        pids = {int(line["worker_pid"]) for _, line in self.log if "worker_pid" in line}
        return [pid for pid in pids if _is_worker(pid)]

    def descriptors(self) -> int:
        """Open files of the supervisor."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_kib(self) -> int:
        """Memory of the supervisor."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024

    async def clear(self) -> None:
        """Kill what is left."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        for pid in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*self._readers, return_exceptions=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        is_zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not is_zombie and b"fairlead.workers.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
