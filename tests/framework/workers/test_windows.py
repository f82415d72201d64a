"""A single process where the system has only what Windows has: no SIGHUP, signal masks, SO_REUSEPORT, uvloop.

Nothing else of Windows is tried here. What it is for: an import or an attribute that Windows lacks is noticed.
"""

from __future__ import annotations

import signal
from typing import Any

CODE = """
import asyncio, concurrent.futures, logging, os, select, signal, socket, ssl, subprocess, sys, tempfile, threading

MISSING = {
    signal: ("SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGALRM",
             "pthread_sigmask", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"),
    socket: ("SO_REUSEPORT",),
    select: ("PIPE_BUF",),
    os: ("fork", "memfd_create", "register_at_fork", "sched_getaffinity", "sysconf", "O_NOCTTY", "RWF_NOWAIT", "pwritev"),
}
for module, names in MISSING.items():
    for name in names:
        module.__dict__.pop(name, None)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "uvloop"):
    sys.modules[name] = None

from fairlead import App
from fairlead.response import text

app = App("windows")

@app.get("/")
async def hello(request):
    return text("hello")

if __name__ == "__main__":
    app.run(port=0, management_port=0, log_format="json")
"""


async def test_a_single_process_serves_and_drains(start: Any) -> None:
    """What the documentation says of Windows: one process on asyncio, ended by Ctrl-C."""
    service = await (await start(code=CODE, program=("service_under_test.py",))).ready()
    assert service.find("service is ready")[0]["versions"].endswith(", asyncio")
    assert await service.get("/") == (200, "hello")
    assert await service.probe("/readyz") == (200, "ok\n")
    service.signal(signal.SIGINT)
    assert await service.exit_status() == 0
    assert service.stderr == ""
