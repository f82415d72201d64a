"""The start-up banner (mission T2)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from fairlead import __version__
from fairlead.telemetry.logging import LogStream
from fairlead.workers.banner import announce
from fairlead.workers.cgroup import WorkerCount
from fairlead.workers.messages import Changed, WorkerState


def show(format: Any, *, debug: bool = False) -> None:
    """Announce a service with two workers."""
    announce(
        LogStream({}, format, None, lambda event: b""),
        Changed(WorkerState.READY, name="shop", debug=debug, loop="uvloop 1.2.3"),
        mode="supervisor and workers",
        workers=WorkerCount(2, "CPU quota 1.5"),
        address="127.0.0.1:8000",
        management="127.0.0.1:9000",
    )


def test_in_a_terminal_it_is_a_table(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """T2: name, mode, workers with the reason, addresses, versions; nothing in the log."""
    show("console")
    shown = capsys.readouterr().out
    for fact in (
        "shop is ready",
        "supervisor and workers",
        "2 (CPU quota 1.5)",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:9000",
        f"fairlead {__version__}, Python",
        "uvloop 1.2.3",
    ):
        assert fact in shown
    assert "DEBUG" not in shown
    assert "\x1b" not in shown
    assert caplog.records == []


def test_in_json_logs_it_is_one_line(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """T2: the same facts as fields of one event."""
    with caplog.at_level(logging.INFO, "fairlead.workers"):
        show("json")
    (record,) = caplog.records
    fields = vars(record)
    assert record.getMessage() == "service is ready"
    assert (fields["app"], fields["workers"], fields["serving"]) == ("shop", "2 (CPU quota 1.5)", "http://127.0.0.1:8000")
    assert capsys.readouterr().out == ""


def test_debug_mode_is_loud(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """T2: nobody leaves it on unnoticed."""
    show("console", debug=True)
    assert "DEBUG MODE" in capsys.readouterr().out
    assert [record.levelname for record in caplog.records] == ["WARNING"]
