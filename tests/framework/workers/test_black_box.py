"""The flight recorder: stacks of a process that died (mission K3)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fairlead.workers.black_box import BlackBox

CODE = """
import os, sys, time
from fairlead.workers.black_box import record_into
record_into(int(sys.argv[1]))
assert not os.get_inheritable(int(sys.argv[1]))
def stuck():
    {work}
stuck()
"""


def recorded(work: str) -> tuple[int, str]:
    """The exit status and the report of a process that does this."""
    box = BlackBox()
    try:
        command = [sys.executable, "-c", CODE.format(work=work), str(box.fd)]
        child = subprocess.run(command, pass_fds=(box.fd,), capture_output=True)
        return child.returncode, box.report()
    finally:
        box.close()


@pytest.mark.parametrize(
    ("work", "status"),
    [("os.abort()", -6), ("import faulthandler; faulthandler._sigsegv()", -11), ("os.kill(os.getpid(), 6)", -6)],
)
def test_a_fatal_signal_leaves_the_stack(work: str, status: int) -> None:
    """K3: what the interpreter was doing is known after its death."""
    code, report = recorded(work)
    assert code == status
    assert "in stuck" in report


@pytest.mark.parametrize("work", ["pass", "os.kill(os.getpid(), 9)", "raise SystemExit(3)"])
def test_other_ends_leave_nothing(work: str) -> None:
    """K3: SIGKILL can't be recorded, an exit needs none."""
    assert recorded(work)[1] == ""


def test_closing_twice_is_no_error() -> None:
    """The descriptor is given back once, and never somebody else's in its place."""
    box = BlackBox()
    box.close()
    with open(os.devnull) as other:
        box.close()
        os.fstat(other.fileno())


def test_without_memfd_a_deleted_file_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert "in stuck" in recorded("os.abort()")[1]
