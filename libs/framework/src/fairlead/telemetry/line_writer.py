"""Lines to a file descriptor, in batches, without ever making the caller wait.

Stdout is a pipe that somebody else reads. When that somebody stops, `print` stops the whole service at its next line;
here lines wait in a bounded buffer, and what does not fit is counted and left out. A thread of its own writes: it
gathers for `gather_s`, then takes everything that has come together.

    caller ── write(line) ──> pending (bounded by bytes) ── thread ──> os.write

How it works: `write` takes no lock, an append to a deque is atomic (and so a signal handler or a finaliser may log
while another line is being taken). The first line after a pause wakes the thread; the following ones of the batch
cost an append. The thread takes back its readiness first and empties the deque then, so no line waits for a wake-up
that was lost. Pieces end at line boundaries and, on a pipe, are no longer than PIPE_BUF, because only those are
written whole (POSIX write(2)): several workers share one stdout, and their lines must not mix.

A closed descriptor fails at once; its lines count as dropped, too. When writing works again, one line says how many are
missing. A process that is killed loses what it gathered in the last `gather_s`; `flush` at exit and for errors.

Rejected: O_NONBLOCK, which is a property of the open file and so would change stdout for every process that shares
it, the terminal's shell included; poll() before write() from the loop, which still blocks when another worker fills
the pipe in between; opening /proc/self/fd/1 anew, which is refused after a change of user and impossible for sockets.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import weakref
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import accumulate
from time import monotonic

__all__ = ["LineWriter"]

FILE_PIECE_BYTES = 64 * 1024
"""The longest write to something that is no pipe."""


class LineWriter:
    """Writes lines to `fd` from a thread. `notice(n)` renders the line that tells of n dropped ones."""

    def __init__(
        self,
        fd: int,
        *,
        notice: Callable[[int], bytes] | None = None,
        gather_s: float = 0.02,
        max_pending_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        self._fd = fd
        self._notice = notice
        self._gather_s = gather_s
        self._max_pending_bytes = max_pending_bytes
        self._piece_bytes = select.PIPE_BUF if _is_pipe(fd) else FILE_PIECE_BYTES
        self._is_closed = False
        self._untold = 0
        self.dropped = 0
        """Lines that were left out, since the start."""
        self._begin()
        _begin_anew_in_forks(weakref.WeakMethod(self._begin))

    def _begin(self) -> None:
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._is_awake = False
        self._is_writing = False
        self._idle = threading.Condition()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Take one line with its line feed, from any thread. Returns at once; a line that finds no room is dropped."""
        if self._pending_bytes >= self._max_pending_bytes or self._is_closed:
            self._drop(1)
            return
        self._pending.append(line)
        self._pending_bytes += len(line)
        if not self._is_awake:
            self._awaken()

    def _awaken(self) -> None:
        self._is_awake = True
        if self._thread is None:
            self._start()
        self._wake.set()

    def _start(self) -> None:
        with self._idle:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="fairlead-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is ending and takes no threads any more: the last words
                    self._is_awake = False
                    self._write_all(self._take())
                else:
                    self._thread = thread

    def hurry(self) -> None:
        """Write what is pending now, without waiting for it."""
        self._hurry.set()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Write what is pending now, waiting for it at most `timeout_s`; whether everything was written."""
        deadline = monotonic() + timeout_s
        self._hurry.set()
        self._wake.set()
        with self._idle:
            while self._thread is not None and (self._pending or self._is_writing):
                if not self._idle.wait(max(0.0, deadline - monotonic())):
                    return False
        return True

    def close(self, timeout_s: float = 2.0) -> None:
        """Flush, then take nothing more. The descriptor stays open: it was not opened here."""
        self.flush(timeout_s)
        self._is_closed = True
        self._wake.set()

    def _run(self) -> None:
        while not self._is_closed or self._pending:
            self._wake.wait()
            self._hurry.wait(self._gather_s)
            self._wake.clear()
            self._hurry.clear()
            self._is_writing = True
            self._is_awake = False
            self._write_all(self._take())
            with self._idle:
                self._is_writing = False
                self._idle.notify_all()

    def _take(self) -> list[bytes]:
        self._pending_bytes = 0
        take = self._pending.popleft
        return [take() for _ in range(len(self._pending))]

    def _write_all(self, lines: list[bytes]) -> None:
        for count, piece in _pieces(lines, self._piece_bytes):
            if not self._write_piece(piece):
                self._drop(count)
            elif self._untold and self._notice is not None:
                untold, self._untold = self._untold, 0
                if not self._write_piece(self._notice(untold)):
                    self._untold += untold

    def _write_piece(self, piece: bytes) -> bool:
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody else made it non-blocking: wait here, the loop doesn't
                select.select([], [self._fd], [], 1.0)
            except OSError:
                return False
        return True

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _begin_anew_in_forks(begin: weakref.WeakMethod[Callable[[], None]]) -> None:
    """A forked child has no writing thread, and the lines that its parent had pending are not its own."""

    def begin_if_alive() -> None:
        method = begin()
        if method is not None:
            method()

    os.register_at_fork(after_in_child=begin_if_alive)


def _pieces(lines: list[bytes], max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Lines joined as far as they fit into `max_bytes`, with their number; a longer line is a piece of its own."""
    ends = list(accumulate(map(len, lines)))
    first, begin = 0, 0
    while first < len(lines):
        after = max(bisect_right(ends, begin + max_bytes, first), first + 1)
        yield after - first, b"".join(lines[first:after])
        first, begin = after, ends[after - 1]
