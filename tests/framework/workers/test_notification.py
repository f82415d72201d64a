"""Word to systemd."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from fairlead.workers.notification import notify


def test_a_datagram_of_assignments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sd_notify(3): one datagram, an assignment a line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1", "MAINPID=7")
        assert systemd.recv(100) == b"READY=1\nMAINPID=7"


def test_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """sd_notify(3): `@` stands for the zero byte of the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("")  # the kernel chooses a free abstract name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + systemd.getsockname()[1:].decode())
        notify("STOPPING=1")
        assert systemd.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Without systemd nothing happens, and nothing fails."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


async def test_a_service_says_when_it_is_ready_and_when_it_stops(start: Any, tmp_path: Path) -> None:
    """K3: `Type=notify`: READY with the main process' pid once all workers are, STOPPING when the drain begins."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        service = await (await start(NOTIFY_SOCKET=str(tmp_path / "notify"))).ready()
        service.process.terminate()
        assert await service.exit_status() == 0
        assert systemd.recv(100) == f"READY=1\nMAINPID={service.process.pid}".encode()
        assert systemd.recv(100) == b"STOPPING=1"
