"""Asks the probes as a kubelet does: from a process of its own, all the time, and whatever else goes on.

In the load client's process it would measure how busy that is. `Prober(port)` starts it, `stop()` reads what it has seen.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Prober", "Seen"]

PAUSE_S = 0.05


@dataclass
class Seen:
    """What the probes have said so far."""

    slowest_s: float = 0.0
    late_s: float = 0.0
    """How long the machine let even the prober itself wait for a CPU; a probe can't be had sooner."""
    fewest_ready: int = 1 << 30
    not_live: int = 0
    not_started: int = 0
    not_ready: int = 0


class Prober:
    """20 rounds a second from now on; after `stop`, `seen` is complete."""

    def __init__(self, port: int) -> None:
        self.seen = Seen()
        command = [sys.executable, "-m", "tests.chaos.prober", str(port)]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> None:
        """Ask no more."""
        told, _ = self._process.communicate(b"stop", timeout=60)
        self.seen = Seen(**json.loads(told))


def _probe(port: int, seen: Seen) -> None:
    try:
        status, body = _ask(port, "/readyz?verbose", seen)
        live, started = _ask(port, "/livez", seen)[0], _ask(port, "/startupz", seen)[0]
    except (OSError, http.client.HTTPException):  # not yet there, or gone
        return
    seen.not_ready += status != 200
    seen.not_live += live != 200
    seen.not_started += started != 200
    ready = sum(worker["state"] == "ready" for worker in json.loads(body)["workers"])
    seen.fewest_ready = min(seen.fewest_ready, ready)


def _ask(port: int, path: str, seen: Seen) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    began_s = time.monotonic()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
        seen.slowest_s = max(seen.slowest_s, time.monotonic() - began_s)


def main(port: int) -> None:
    """Ask until something comes on stdin; then print what was seen."""
    seen, stopping = Seen(), threading.Event()

    def wait_for_a_word() -> None:
        sys.stdin.read(1)
        stopping.set()

    threading.Thread(target=wait_for_a_word, daemon=True).start()
    asked_s = time.monotonic()
    while not stopping.wait(PAUSE_S):
        seen.late_s = max(seen.late_s, time.monotonic() - asked_s - PAUSE_S)
        _probe(port, seen)
        asked_s = time.monotonic()
    sys.stdout.write(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
