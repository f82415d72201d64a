"""Commands of the application's own in a service that is up (S)."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from fairlead import App
from fairlead.workers import application_command
from fairlead.workers.application_command import call

COMMANDS = """
@app.command
async def count(app, least: int = 0):
    await asyncio.sleep(0)
    return {"pid": os.getpid(), "least": least}

@app.command
def quiet():
    pass

@app.command
def fails():
    raise RuntimeError("on purpose")
"""


@pytest.mark.parametrize("mode", [["--workers", "2"], ["--single-process"]])
async def test_in_a_worker(start: Any, tmp_path: Path, mode: list[str]) -> None:
    """The command runs where the requests are answered; its outcome and its exit status are the operator's."""
    socket = str(tmp_path / "m.sock")

    async def operate(*words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fairlead", "call", "--socket", socket, *words), stdout=PIPE, stderr=PIPE
        )
        printed, complaint = await process.communicate()
        return process.returncode or 0, printed.decode().strip(), complaint.decode().strip()

    service = await (await start(*mode, more=COMMANDS, FAIRLEAD_MANAGEMENT_SOCKET=socket)).ready()
    pid = service.worker_pid(0) if mode[0] == "--workers" else service.process.pid
    assert await operate("count", "--least=3") == (0, f'{{"pid":{pid},"least":3}}', "")
    assert await operate("quiet") == (0, "", "")
    assert await operate("cuont") == (1, "", "fairlead: tested has no command 'cuont'; did you mean 'count'?")
    assert await operate("fails") == (1, "", "fairlead: fails: RuntimeError: on purpose")
    assert await operate("--worker", "7", "quiet") == (1, "", "fairlead: there is no worker 7 that could answer")
    await service.event("command failed")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


async def test_answers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Text as it is, anything else as JSON, nothing for None; no more than goes through the channel."""
    app = App("a")
    for name, value in (("text", "a b"), ("none", None), ("object", {"at": Path("/x")}), ("long", "x" * 11)):
        app.command(lambda value=value: value, name=name)
    monkeypatch.setattr(application_command, "MAX_TEXT_CHARACTERS", 10)
    assert await call(app, "text", []) == ("", "a b")
    assert await call(app, "none", []) == ("", "")
    assert await call(app, "long", []) == ("long: its answer is longer than 10 characters", "")
    monkeypatch.setattr(application_command, "MAX_TEXT_CHARACTERS", 100)
    assert await call(app, "object", []) == ("", '{"at":"/x"}')
    assert await call(app, "text", ["--x=1"]) == ("text: there is no --x (usage: text [--value=a b])", "")
