"""Where the process begins and ends: the script `fairlead`, and `python -m fairlead`.

The kernel throws away a signal to PID 1 that has no handler, but keeps one that is blocked. So the first thing that a
container's PID 1 does, before it imports anything, is to block those that ask for its end; `serve` unblocks them when it has
its handlers, any other command at once. What is left is the interpreter's own start, about ten milliseconds.

The last thing is to spare the interpreter its garbage collections, which take 100 ms and free what the kernel frees anyway.
Handlers at exit run as ever.
"""

import gc
import os
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; returns the exit status."""
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    from fairlead.cli import main as run

    try:
        return run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
