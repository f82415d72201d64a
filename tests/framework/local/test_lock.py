"""`RunLock`: one run at a time, and never a stale lock."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from fairlead.local import LocalError
from fairlead.local.lock import RunLock

HOLD = (
    "import sys, time; from pathlib import Path; from fairlead.local.lock import RunLock\n"
    "with RunLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


async def start_holder(path: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(path), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert b"held\n" == await process.stdout.readline()
    return process


async def test_second_run(tmp_path: Path) -> None:
    """A second run beside the first is refused in one line with the pid of the first."""
    holder = await start_holder(tmp_path / "lock")
    with pytest.raises(LocalError, match=rf"already runs in this folder \(pid {holder.pid}\)"), RunLock(tmp_path / "lock"):
        pass
    holder.kill()
    await holder.wait()


async def test_killed_run(tmp_path: Path) -> None:
    """The lock of a run that was killed is free at once, and the next run knows of the killing."""
    holder = await start_holder(tmp_path / "lock")
    holder.kill()
    await holder.wait()
    with RunLock(tmp_path / "lock") as lock:
        assert lock.was_killed


def test_clean_end(tmp_path: Path) -> None:
    """After a clean end nothing is left to notice; the folder is made when it is missing."""
    path = tmp_path / "local" / "lock"
    with RunLock(path) as lock:
        assert not lock.was_killed
        assert str(os.getpid()) == path.read_text()
    with RunLock(path) as lock:
        assert not lock.was_killed
