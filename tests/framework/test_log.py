"""The loggers under Sanic's names."""

from __future__ import annotations

from fairlead import log


def test_all_are_below_one_name() -> None:
    """So that one setting holds for all of them."""
    assert {getattr(log, name).name for name in log.__all__} == {
        *("fairlead.app", "fairlead.dispatch", "fairlead.access", "fairlead.server", "fairlead.websocket"),
    }
