"""The worker's loop (mission T4)."""

from __future__ import annotations

import asyncio
import sys

import pytest

from fairlead.workers.loop import describe_loop, new_event_loop


def test_uvloop_where_it_is_installed() -> None:
    """T4: named with its version in the banner."""
    uvloop = pytest.importorskip("uvloop")
    loop = new_event_loop()
    try:
        assert describe_loop(loop) == f"uvloop {uvloop.__version__}"
    finally:
        loop.close()


def test_asyncio_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """T4: nothing but the name is different."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert describe_loop(loop) == "asyncio"
    finally:
        loop.close()
