"""`python -m benchmarks.servers NAME PORT CORE`: one server, pinned to one core; ends with the harness."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from benchmarks import servers

PR_SET_PDEATHSIG = 1


def main(name: str, port: str, core: str) -> None:
    """Serve until SIGTERM, or until the process that started this one is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, {int(core)})
    servers.load(name).serve(int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
