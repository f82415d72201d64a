"""The first moments of a process: signals to PID 1 are kept, whatever is still being imported (mission K3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import fairlead.cli
from fairlead.__main__ import main
from fairlead.workers.signals import SignalInbox

ASKING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """The thread's signal mask is put back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def blocked() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


@pytest.mark.parametrize(("pid", "held"), [(1, ASKING), (4711, set())])
def test_pid_1_holds_its_signals(monkeypatch: pytest.MonkeyPatch, pid: int, held: set[int]) -> None:
    """K3: the kernel drops what PID 1 has no handler for, unless it is blocked. Any other process just ends."""
    seen: list[set[int]] = []

    def run() -> int:
        seen.append(blocked())
        return 7

    monkeypatch.setattr(os, "getpid", lambda: pid)
    monkeypatch.setattr(fairlead.cli, "main", run)
    assert main() == 7
    assert seen == [held]


def test_handlers_let_them_through() -> None:
    """K3: what came while they were held is delivered as soon as there are handlers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    signal.raise_signal(signal.SIGHUP)
    inbox = SignalInbox().install(signal.SIGHUP)
    try:
        assert list(inbox._pending) == [signal.SIGHUP]
        assert signal.SIGHUP not in blocked()
    finally:
        inbox.restore()


@pytest.mark.parametrize(("command", "held"), [("version", set()), ("serve", ASKING)])
def test_other_commands_heed_them_at_once(monkeypatch: pytest.MonkeyPatch, command: str, held: set[int]) -> None:
    """K3: Ctrl-C ends a migration that is PID 1; `serve` decides for itself."""
    seen: list[set[int]] = []

    def run(arguments: object) -> int:
        seen.append(blocked())
        return 0

    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(f"fairlead.cli.{command}.run", run)
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    assert fairlead.cli.main([command]) == 0
    assert seen == [held]


def test_nothing_is_imported_before() -> None:
    """K3: until they are held the process has loaded next to nothing of ours or of the standard library's."""
    code = (
        "import os, sys; before = set(sys.modules); os.getpid = lambda: sys.exit(' '.join(sorted(set(sys.modules) - before)));"
        "import fairlead.__main__; fairlead.__main__.main()"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    loaded = {name for name in done.stderr.split() if not name.startswith("_")}
    assert loaded <= {
        "enum",
        "fairlead",
        "fairlead.__main__",
        "functools",
        "gc",
        "collections",
        "itertools",
        "keyword",
        "operator",
        "reprlib",
        "signal",
        "types",
    }


def test_as_a_module() -> None:
    """`python -m fairlead` is the script by another name."""
    done = subprocess.run([sys.executable, "-m", "fairlead", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fairlead ")
