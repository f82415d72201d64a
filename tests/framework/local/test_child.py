"""`Child`: a process that ends when we end, however we end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from fairlead.local.child import MAX_LINE_BYTES, Child, describe_exit, last_line

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


async def first_line(child: Child) -> bytes:
    return await anext(child.lines())


async def test_lines() -> None:
    """Both streams come line by line, in order, the last one also without an end of line."""
    child = await Child.start(["sh", "-c", "echo one; echo two >&2; printf three"])
    assert [b"one", b"two", b"three"] == [line async for line in child.lines()]
    assert 0 == await child.wait()


async def test_endless_line() -> None:
    """A line without an end is handed on in pieces, so that it can't fill the memory."""
    child = await Child.start(["sh", "-c", "yes | tr -d '\\n' | head -c 3000000"])
    pieces = [line async for line in child.lines()]
    assert 3_000_000 == sum(map(len, pieces))
    assert max(map(len, pieces)) <= MAX_LINE_BYTES + 65536
    await child.wait()


async def test_output_to_a_file(folder: Path) -> None:
    """With `output`, what the program writes is added to that file."""
    log = folder / "log"
    log.write_text("before\n")
    child = await Child.start(["sh", "-c", "echo after"], output=log)
    assert 0 == await child.wait()
    assert "before\nafter\n" == log.read_text()
    assert "after" == last_line(log)


async def test_environment() -> None:
    """The program gets the given environment and nothing else."""
    child = await Child.start(["/usr/bin/env"], environment={"A": "1"})
    assert [b"A=1"] == [line async for line in child.lines()]
    await child.wait()


async def test_stop() -> None:
    """`stop` asks with the signal that was chosen and gives the exit status."""
    child = await Child.start(SLEEP, stop_signal=signal.SIGINT)
    await first_line(child)
    assert child.status is None
    status = await child.stop(10)
    assert status != 0
    assert status == child.status


async def test_stop_of_a_program_that_will_not(folder: Path) -> None:
    """A program that ignores the request is killed when its time is over."""
    child = await Child.start(STUBBORN)
    await first_line(child)
    assert -signal.SIGKILL == await child.stop(0.1)


async def test_stop_twice() -> None:
    """Stopping what has ended gives its status again and sends nothing to whoever has its pid now."""
    child = await Child.start(["sh", "-c", "exit 3"])
    assert 3 == await child.wait()
    assert 3 == await child.stop(1)
    child.signal(signal.SIGTERM)


async def test_own_session() -> None:
    """A Ctrl-C in the terminal does not reach it: it leads a session of its own."""
    child = await Child.start(SLEEP)
    await first_line(child)
    assert child.pid == os.getsid(child.pid)
    await child.stop(10)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal exists on Linux only")
async def test_parent_killed() -> None:
    """SIGKILL to us ends our children: the kernel sends them their stop signal (K3)."""
    program = (
        "import asyncio, sys\n"
        "from fairlead.local.child import Child\n"
        "async def main():\n"
        "    child = await Child.start([sys.executable, '-c', 'import time; print(flush=True); time.sleep(60)'])\n"
        "    async for line in child.lines():  # it runs, so the kernel knows of the signal\n"
        "        print(child.pid, flush=True)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    grandchild = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [grandchild], 10)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("status", "words"), [(0, "exit status 0"), (1, "exit status 1"), (-9, "SIGKILL"), (-70, "signal 70")])
def test_describe_exit(status: int, words: str) -> None:
    """An exit status is told in words."""
    assert words == describe_exit(status)


def test_last_line_of_nothing(folder: Path) -> None:
    """A program that said nothing, or has no log, is told so."""
    assert "it said nothing" == last_line(folder / "missing")
