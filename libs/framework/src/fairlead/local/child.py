"""A process of ours that ends when we end, however we end.

Three cases are covered. Normally `stop` asks with the signal that the program understands best and waits. When this
process is killed with SIGKILL, the kernel sends that same signal to the child (Linux: the parent-death signal, set by
setpriv(1), which then becomes the program: the pid stays). Where there is no setpriv (macOS) the child is orphaned; the
embedded servers find such a left-over by its pid file at the next start and end it first.

Each child is the leader of its own session, so a Ctrl-C in the terminal reaches this process alone and the order of
stopping stays ours. The parent-death signal belongs to the thread that started the child: start children on a thread
that lives as long as they do (the main thread, or that of a session-wide loop; never one of an executor).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from fairlead.local.account import Account

__all__ = ["Child", "describe_exit", "last_line", "run_to_end"]

CHUNK_BYTES = 65536
MAX_LINE_BYTES = 1_048_576
"""A longer line is handed on in pieces."""
KILL_WAIT_S = 5.0


class Child:
    """A running program. Made by `start`; whoever started it must await `stop` or `wait`."""

    def __init__(self, process: Process, stop_signal: signal.Signals) -> None:
        self._process = process
        self._stop_signal = stop_signal

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        output: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
    ) -> Child:
        """Starts `command`; its output goes to the end of the file `output`, or to `lines` when that is None.

        `account` runs it with the rights of that account (root only)."""
        command = _owned(command, stop_signal, account)
        with contextlib.ExitStack() as stack:
            target = PIPE if output is None else stack.enter_context(output.open("ab"))
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=target, stderr=STDOUT, env=environment, start_new_session=True
            )
        return cls(process, stop_signal)

    @property
    def pid(self) -> int:
        """The process id; another process may have it once this one was waited for."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits for the end of the process and gives its exit status, negative for a signal."""
        return await self._process.wait()

    async def lines(self) -> AsyncIterator[bytes]:
        """What the program writes, line by line without the line ends, until it and its heirs have closed their end."""
        assert self._process.stdout is not None, "this child writes to a file"
        rest = b""
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > MAX_LINE_BYTES:
                yield rest
                rest = b""
        if rest:
            yield rest

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process has ended."""
        if self.status is None:
            self._process.send_signal(number)

    async def stop(self, timeout_s: float) -> int:
        """Asks the program to end and kills it when it has not done so after `timeout_s`; gives its exit status."""
        self.signal(self._stop_signal)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), timeout_s)
        self.signal(signal.SIGKILL)
        return await asyncio.wait_for(self.wait(), KILL_WAIT_S)


async def run_to_end(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, account: Account | None = None
) -> tuple[int, list[bytes]]:
    """Runs a command that ends by itself: its exit status and its lines. Cancelled, it ends the command first."""
    child = await Child.start(command, environment=environment, account=account)
    try:
        lines = [line async for line in child.lines()]
        return await child.wait(), lines
    finally:
        await child.stop(KILL_WAIT_S)


def _owned(command: Sequence[str], stop_signal: signal.Signals, account: Account | None = None) -> list[str]:
    """The command that runs `command` bound to the life of its parent, with the rights of `account`."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(command)
    rights = account.options() if account else []
    return [setpriv, *rights, f"--pdeathsig={stop_signal.name.removeprefix('SIG')}", "--", *command]


def describe_exit(status: int) -> str:
    """An exit status in words: "exit status 1", "SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def last_line(log: Path) -> str:
    """The last line of a log, where a program that gave up says why."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
