"""The flight recorder of a worker: what the interpreter was doing when it died.

The supervisor makes a nameless file in memory and passes its descriptor down; the worker hands it to `faulthandler`,
whose handlers are plain C and write the stacks of all threads on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT even when
the interpreter itself is stuck. After the death the supervisor reads the file and adds it to the log line of the death.
That is also how a blocked worker is ended: SIGABRT first, as systemd's watchdog does, so that the log has the stack
that blocks.

Rejected: stderr (raw lines in a stream of JSON records, mixed from several workers), asking the worker for its stack
over the channel (a blocked loop doesn't answer).
"""

from __future__ import annotations

import faulthandler
import os
import tempfile

__all__ = ["BlackBox", "record_into"]

_MAX_REPORT_BYTES = 16 * 1024


class BlackBox:
    """The supervisor's end: one for each worker process. Close it after `report`."""

    def __init__(self) -> None:
        self.fd = _nameless_file()

    def report(self) -> str:
        """The stacks that were written, "" when the worker died without (or was killed by SIGKILL)."""
        return os.pread(self.fd, _MAX_REPORT_BYTES, 0).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Give the file back. Closing twice changes nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def record_into(fd: int) -> None:
    """In the worker: write the stacks of all threads into `fd` on a fatal signal."""
    os.set_inheritable(fd, False)
    faulthandler.enable(fd, all_threads=True)


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("fairlead-black-box", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # elsewhere than on Linux: deleted, but open
        return os.dup(file.fileno())
