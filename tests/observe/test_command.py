"""`make observe` as a command: it says in one line what is in its way, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import psutil
import pytest

from fairlead.local.ports import free_port
from tests.observe import prometheus
from tests.observe.__main__ import main
from tests.observe.prometheus import ROOT, Missing, program


def ports(*taken: int) -> list[str]:
    options = ("--page-port", "--prometheus-port", "--otlp-port")
    numbers = [*taken, *(free_port() for _ in options)]
    return [word for option, number in zip(options, numbers, strict=False) for word in (option, str(number))]


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Which port, who has it, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(ports(port)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"observe: port {port} is taken by pid ")
    assert 'OBSERVE_ARGS="--page-port N"' in said
    assert len(said.splitlines()) == 1


def test_without_prometheus_it_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a machine that has neither the program nor a package manager that we know."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prometheus, "UNPACKED", tmp_path / "nowhere" / "prometheus")
    with pytest.raises(Missing, match="brew install prometheus"):
        program("prometheus")


@pytest.mark.parametrize("fetched", [b"exit 1", b"echo E: no such package >&2; exit 100"])
def test_a_package_that_can_not_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fetched: bytes) -> None:
    """In a fresh clone, where there is no .tools yet: one sentence with what apt-get said, and nothing half done."""
    tool = tmp_path / "bin" / "apt-get"
    tool.parent.mkdir()
    tool.write_bytes(b"#!/bin/sh\n" + fetched + b"\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    monkeypatch.setattr(prometheus, "UNPACKED", tmp_path / "tools" / "prometheus")
    with pytest.raises(Missing, match="apt-get install prometheus"):
        program("prometheus")
    assert list((tmp_path / "tools").iterdir()) == []


@pytest.mark.deadline(60)
async def test_it_ends_with_all_that_it_has_started() -> None:
    """SIGTERM, as Ctrl-C: status 0, and no Prometheus is left."""
    try:
        program("prometheus")
    except Missing as reason:
        pytest.skip(f"NOT VERIFIED: {reason}")
    command = [sys.executable, "-m", "tests.observe", "--seconds", "0.2", *ports()]
    observe = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert observe.stdout is not None
    first = await observe.stdout.readline()
    assert b"dashboard and traces" in first
    below = psutil.Process(observe.pid).children(recursive=True)
    assert [process.name() for process in below] == ["prometheus"]
    observe.terminate()
    _, complaints = await observe.communicate()
    assert (observe.returncode, complaints) == (0, b"")
    assert not any(process.is_running() for process in below)
