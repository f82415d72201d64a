"""Lines to a file descriptor, in batches, without ever making the caller wait.

Stdout is a pipe that somebody else reads. When that somebody stops, `print` stops the whole service at its next line;
here lines wait in a bounded buffer, and what does not fit is counted and left out.

    write(line) ────────────────────────┐
                                        ├─> pending blocks (bounded by bytes) ──> pieces ──> stdout
    lane.extend(pieces of a line) ──> attend()

Who writes? Whoever calls `turn_over`, when the kernel promises not to block (`RWF_NOWAIT`: pipes from Linux 6.4 on; a file and
/dev/null never do): then no other thread is woken for it, which under load would cost the loop more than the lines do (each
return from a system call in another thread takes the GIL away from it). The thread does the rest: what is left `gather_s` after
the first line, what a full stdout refused, and everything where there is no such promise.

How it works. Two locks, and neither is held while something blocks, except in the thread where nothing else can be done:
`_gathering` for what goes from the lane to the pending blocks, `_writing` for what goes from there to the descriptor. A caller
never waits for them: whoever holds one does the work. So a signal handler or a finaliser may log while another line is being
taken. Each `extend` of the lane is a whole line, so its end is always the end of a line, too.

Pieces end at line boundaries and, on a pipe, are no longer than PIPE_BUF, because only those are written whole (POSIX
write(2)): several workers share one stdout, and their lines must not mix.

A closed descriptor fails at once; its lines count as dropped, too. When writing works again, one line says how many are
missing. A process that is killed loses what it gathered in the last `gather_s`; `flush` at exit and for errors.

Rejected: O_NONBLOCK, which is a property of the open file and so would change stdout for every process that shares
it, the terminal's shell included; poll() before an ordinary write() from the loop, which still blocks when another worker
fills the pipe in between; opening /proc/self/fd/1 anew, which is refused after a change of user and impossible for sockets.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic

__all__ = ["LANE_PIECES", "LineWriter"]

FILE_PIECE_BYTES = 64 * 1024
"""The longest write to something that is no pipe."""

LANE_PIECES = 480
"""So many pieces are turned over at once: about a hundred lines of the access log."""

PIPE_PIECE_BYTES = getattr(select, "PIPE_BUF", 512)
"""What is written whole to a pipe; 512 is the least that POSIX allows, for systems that don't say."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_NULL_DEVICE = os.makedev(1, 3)


class LineWriter:
    """Writes lines to `fd`. `notice(n)` renders the line that tells of n dropped ones."""

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
        self._kind = _kind_of(fd)
        self._piece_bytes = PIPE_PIECE_BYTES if self._kind == "pipe" else FILE_PIECE_BYTES
        self._is_prompt = gather_s > 0 and (self._kind == "file" or (self._kind == "pipe" and _NOWAIT != 0))
        self._is_closed = False
        self._untold = 0
        self._told = 0  # by the notice that is under way
        self.lane: list[str] = []
        """For the loop's thread only: `lane.extend(pieces)` adds one line, its line feed included, and costs next to nothing.
        Then `attend()`, if it holds `lane_limit` pieces."""
        self.lane_limit = 0
        """Nothing while the thread has to be told of what is pending; else `LANE_PIECES`. PERF: one comparison a line for both."""
        self.dropped = 0
        """Lines that were left out, since the start."""
        self._begin()
        _begin_anew_in_forks(weakref.WeakMethod(self._begin))

    def _begin(self) -> None:
        self.lane.clear()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._taken = b""  # from the pending blocks, and not written yet
        self.lane_limit = 0
        self._gathering = threading.Lock()
        self._writing = threading.Lock()
        self._idle = threading.Condition()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    # Taking lines

    def write(self, line: bytes) -> None:
        """Take one line with its line feed, from any thread. Returns at once; a line that finds no room is dropped."""
        if self.lane:
            self._gather()
        self._add(line)
        if not self.lane_limit:
            self.awaken()

    def attend(self) -> None:
        """See to a lane that is full, or that the thread does not know of."""
        if len(self.lane) >= LANE_PIECES:
            self.turn_over()
        else:
            self.awaken()

    def turn_over(self) -> None:
        """Take what is in the lane, and write as much as can be written without waiting."""
        self._gather()
        if self._is_prompt and self._writing.acquire(blocking=False):
            try:
                self._write_pending()
            finally:
                self._writing.release()

    def _gather(self) -> None:
        if self._gathering.acquire(blocking=False):
            try:
                lane = self.lane
                count = len(lane)
                if count:
                    block = "".join(lane[:count]).encode("utf-8", "backslashreplace")
                    self._add(block)
                    del lane[:count]  # now that it is pending: `flush` finds it in one place or the other at any moment
            finally:
                self._gathering.release()

    def _add(self, block: bytes) -> None:
        if self._pending_bytes >= self._max_pending_bytes or self._is_closed:
            self._drop(block)
            return
        self._pending.append(block)
        self._pending_bytes += len(block)

    # The thread

    def awaken(self) -> None:
        """Let the thread look at what is pending, after `gather_s`."""
        self.lane_limit = LANE_PIECES
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
                    self.lane_limit = 0
                    self._write_all()
                else:
                    self._thread = thread

    def hurry(self) -> None:
        """Write what is pending now, without waiting for it."""
        self._hurry.set()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Write what is pending now, waiting for it at most `timeout_s`; whether everything was written."""
        deadline = monotonic() + timeout_s
        if self._thread is None and not self._is_done:
            self.awaken()
        self._hurry.set()
        self._wake.set()
        with self._idle:
            while self._thread is not None and not self._is_done:
                if not self._idle.wait(max(0.0, deadline - monotonic())):
                    return False
        return True

    @property
    def _is_done(self) -> bool:
        # In the order in which lines go on: what has left one place by now is found in the next one.
        return not (self.lane or self._pending or self._writing.locked() or self._taken)

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
            self.lane_limit = 0
            self._write_all()
            with self._idle:
                self._idle.notify_all()

    # Writing

    def _write_all(self) -> None:
        """Until nothing is left. Waits for the descriptor with no lock held, where it can be told that there is no room."""
        self._gather()
        while True:
            with self._writing:
                is_done = self._write_pending()
            if is_done:
                return
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        waiting = select.poll()
        waiting.register(self._fd, select.POLLOUT)
        waiting.poll(1000)

    def _write_pending(self) -> bool:
        """Write pieces; False when there is no room for the next one. The caller holds `_writing`."""
        while True:
            data = self._taken or self._take()
            if not data:
                return True
            start = 0
            try:
                while start < len(data):
                    end = _end_of_piece(data, start, self._piece_bytes)
                    written = self._write_piece(data[start:end])
                    if written is None:
                        self._lose(data[start:])
                        start = len(data)
                    else:
                        start += written
            except BlockingIOError:
                return False
            finally:
                self._taken = data[start:]
            self._told = 0

    def _take(self) -> bytes:
        """All that is pending, after the notice of what was dropped before it; "" for nothing."""
        take = self._pending.popleft
        blocks = [take() for _ in range(len(self._pending))]
        self._pending_bytes = 0
        if blocks and self._untold and self._notice is not None:
            self._told, self._untold = self._untold, 0
            blocks.append(self._notice(self._told))
        return b"".join(blocks)

    def _write_piece(self, piece: bytes) -> int | None:
        """How many bytes were written; None when there is nobody to read them. Raises `BlockingIOError` for no room."""
        try:
            if self._is_prompt and self._kind == "pipe":
                return os.pwritev(self._fd, [piece], -1, _NOWAIT)
            return os.write(self._fd, piece)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL) and self._is_prompt:
                self._is_prompt = False  # an older kernel: from here on the thread writes, and may be held up
                raise BlockingIOError from None
            return None

    def _lose(self, rest: bytes) -> None:
        """Nobody reads what was taken; nor its last line, if that is a notice: it is given again."""
        self._drop(rest)
        if self._told:
            self.dropped -= 1
            self._untold += self._told - 1
            self._told = 0

    def _drop(self, block: bytes) -> None:
        lines = block.count(b"\n")
        self.dropped += lines
        self._untold += lines


def _kind_of(fd: int) -> str:
    """ "pipe"; "file" for what never keeps a writer waiting; "other": a terminal, a socket, nothing."""
    try:
        status = os.fstat(fd)
    except OSError:
        return "other"
    if stat.S_ISFIFO(status.st_mode):
        return "pipe"
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL_DEVICE
    return "file" if is_null or stat.S_ISREG(status.st_mode) else "other"


def _begin_anew_in_forks(begin: weakref.WeakMethod[Callable[[], None]]) -> None:
    """A forked child has no writing thread, and the lines that its parent had pending are not its own."""

    def begin_if_alive() -> None:
        method = begin()
        if method is not None:
            method()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin_if_alive)


def _end_of_piece(data: bytes, start: int, max_bytes: int) -> int:
    """Where to cut: after as many whole lines as fit into `max_bytes`; after one line when it alone does not fit."""
    if len(data) - start <= max_bytes:
        return len(data)
    end = data.rfind(b"\n", start, start + max_bytes) + 1
    return end or (data.find(b"\n", start) + 1 or len(data))
