"""How many files a service may have open, and so how many connections.

The soft limit that shells and container engines hand out is often 1,024, for the sake of programs that use select(2); the hard
one is what the operator has granted. A server raises the one to the other, and its workers inherit it.
"""

from __future__ import annotations

from typing import Final

ENOUGH: Final = 1_048_576
"""Where the hard limit is higher, or there is none: Linux' own bound (fs.nr_open)."""


def raise_open_files_limit() -> None:
    """Raise the soft limit to the hard one, `ENOUGH` at most. Lowers nothing, and does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
