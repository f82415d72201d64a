"""`serve`: what is refused before anything runs, and the exit status that it gives (missions K7, T10)."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fairlead import App
from fairlead.workers import serve

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Logs and signal handlers of this process are as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)]
    assert after == before


def test_an_option_that_does_not_exist() -> None:
    """A mistake in code is an exception, not an exit status."""
    with pytest.raises(TypeError, match="no option 'prot'"):
        serve("shop:app", prot=1)


@pytest.mark.parametrize("options", [{"workers": 2}, {"fast": True}])
def test_an_app_object_has_no_workers(capsys: Capture, options: dict[str, Any]) -> None:
    """T10: workers import the app by its name; the line says how."""
    assert serve(App("shop"), **options) == 2
    shown = capsys.readouterr().err
    assert "`fairlead serve MODULE:NAME`" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "options", "line"),
    [
        ("", {}, "fairlead: nothing to serve: name it as MODULE:NAME, or set FAIRLEAD_TARGET\n"),
        ("shop", {"port": "eighty"}, "fairlead: FAIRLEAD_PORT: 'eighty' is no whole number\n"),
        ("not_to_be_found", {"single_process": True}, "fairlead: there is no module 'not_to_be_found' (target not_to_be_found)\n"),
    ],
)
def test_wrong_configuration(capsys: Capture, target: str, options: dict[str, Any], line: str) -> None:
    """K7: one line, exit status 2."""
    assert serve(target, **{"port": 0, "management_port": 0, **options}) == 2
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("name", ["port", "management_port"])
def test_a_taken_port(capsys: Capture, name: str) -> None:
    """One line that names it, exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert serve(App("shop"), **{"port": 0, "management_port": 0, name: port}) == 1
    assert f"port {port} on 127.0.0.1 is taken by another process\n" in capsys.readouterr().err
