"""The event loop of a worker: uvloop where it is installed, asyncio's otherwise, with the same behaviour (mission T4)."""

from __future__ import annotations

import asyncio

__all__ = ["describe_loop", "new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop for `asyncio.Runner`."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def describe_loop(loop: asyncio.AbstractEventLoop) -> str:
    """`uvloop 0.23.0` or `asyncio`, for the banner."""
    if type(loop).__module__.partition(".")[0] != "uvloop":
        return "asyncio"
    from uvloop._version import __version__

    return f"uvloop {__version__}"
