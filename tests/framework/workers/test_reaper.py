"""Burying children, and orphans as PID 1 would (mission K3)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fairlead.workers.reaper import Reaper

PR_SET_CHILD_SUBREAPER = 36


def test_each_child_ends_with_its_own_status() -> None:
    """K3: one SIGCHLD may stand for several deaths; nobody is called twice."""
    reaper = Reaper(adopts=False)
    ended: list[tuple[str, int]] = []
    children = {name: subprocess.Popen([sys.executable, "-c", code]) for name, code in CODES.items()}
    for name, child in children.items():
        reaper.watch(child, lambda status, name=name: ended.append((name, status)))
    for child in children.values():
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    reaper.reap()
    reaper.reap()
    assert sorted(ended) == [("exits", 3), ("killed", -9)]


CODES = {"exits": "raise SystemExit(3)", "killed": "import os; os.kill(os.getpid(), 9)"}


def test_a_child_that_lives_is_left_alone() -> None:
    """K3: SIGCHLD is also sent when a child was stopped."""
    reaper = Reaper(adopts=False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        ended: list[int] = []
        reaper.watch(child, ended.append)
        reaper.reap()
        assert ended == []
        child.communicate(b"\n")
        reaper.reap()
        assert ended == [0]


def test_strangers_keep_their_status_outside_of_pid_1() -> None:
    """K3: a child that somebody else of this process has started is not taken away from them."""
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as stranger:
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
        Reaper().reap()
        assert stranger.wait() == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_orphans_are_buried_and_children_keep_their_status() -> None:
    """K3: what PID 1 does, by a process that adopts orphans as PID 1 does."""
    code = f"""
import ctypes, os, subprocess, sys, time
sys.path[:0] = {sys.path!r}
from fairlead.workers.reaper import Reaper
assert ctypes.CDLL(None).prctl({PR_SET_CHILD_SUBREAPER}, 1) == 0
reaper, ended = Reaper(adopts=True), []
orphan = int(subprocess.run(["sh", "-c", "sleep 0.05 & echo $!"], stdout=subprocess.PIPE).stdout)
child = subprocess.Popen(["sh", "-c", "exit 5"])
reaper.watch(child, ended.append)
os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
reaper.reap()
try:
    os.waitid(os.P_ALL, 0, os.WEXITED)
except ChildProcessError:
    print("all buried", ended)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "all buried [5]\n", result.stderr
