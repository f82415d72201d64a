"""`fairlead dev`: it reloads what is written, and survives what is written wrongly."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.cli.dev import changes

APP = """
from fairlead import App
from fairlead.response import text
app = App("draft")

@app.get("/")
async def hello(request):
    return text("{word}")
"""


class Session:
    """The command under way in a terminal's stead."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said = ""

    async def says(self, pattern: str) -> re.Match[str]:
        """Read on until this is said."""
        assert self.process.stdout is not None
        while (found := re.search(pattern, self.said)) is None:
            line = await self.process.stdout.readline()
            assert line, f"ended without {pattern!r}: {self.said}"
            self.said += line.decode()
        self.said = self.said[found.end() :]
        return found


@pytest.fixture(params=["events", "times"])
async def session(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """`fairlead dev draft:app` in a folder of its own, with the optional library and without it."""
    (tmp_path / "draft.py").write_text(APP.format(word="hello"))
    (tmp_path / ".stubs").mkdir()
    if request.param == "times":
        (tmp_path / ".stubs" / "watchfiles.py").write_text("raise ImportError('hidden')")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fairlead", "dev", "draft:app", "--port", "0", "--management-port", "0"),
        cwd=tmp_path,
        env={**clean, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path / ".stubs")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    yield Session(process)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def get(port: int) -> str:
    """The body of `/`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: draft\r\nConnection: close\r\n\r\n")
    body = (await reader.read()).partition(b"\r\n\r\n")[2].decode()
    writer.close()
    return body


async def test_it_reloads_and_survives(session: Session, tmp_path: Path) -> None:
    """T2, K5: debug mode is loud; a change is served; a broken one leaves the last good one serving."""
    await session.says(r"draft is ready.*DEBUG MODE")
    port = int((await session.says(r"serving +http://127\.0\.0\.1:(\d+)"))[1])
    assert await get(port) == "hello"
    (tmp_path / "draft.py").write_text(APP.format(word="good day"))
    await session.says("rolling restart is complete")
    assert await get(port) == "good day"
    (tmp_path / "draft.py").write_text("def broken(")
    await session.says("SyntaxError")
    await session.says("rolling restart abandoned")
    assert await get(port) == "good day"
    session.process.send_signal(signal.SIGTERM)
    assert await session.process.wait() == 0


@pytest.fixture(params=["events", "times"])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder watched through the library, and by its files' times; the way there is hidden and named like one to skip."""
    if request.param == "times":
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    folder = tmp_path / ".projects" / "venv" / "shop"
    for name in ("venv", ".cache"):
        (folder / name).mkdir(parents=True)
    return folder


async def test_only_sources_count(watched: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What an application writes, and what others have installed, makes nobody reload; the library's own log is kept quiet."""
    caplog.set_level(logging.DEBUG)
    seen = changes([watched])
    first = asyncio.ensure_future(anext(seen))
    while not first.done():  # the library says nothing of when it has begun to look
        for name in ("data.sqlite", "venv/library.py", ".cache/copy.py"):
            (watched / name).touch()
        (watched / "page.html").touch()
        await asyncio.wait([first], timeout=0.1)
    assert first.result() == {str(watched / "page.html")}
    assert not [record for record in caplog.records if record.name.startswith("watchfiles")]
    await seen.aclose()


async def test_looks_that_find_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library files are looked at again and again; a look that finds them as they were makes nobody reload."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    monkeypatch.setattr("fairlead.cli.dev.LOOK_S", 0.001)
    seen = changes([tmp_path])
    first = asyncio.ensure_future(anext(seen))
    await asyncio.wait([first], timeout=0.05)
    assert not first.done()
    (tmp_path / "page.html").touch()
    assert await first == {str(tmp_path / "page.html")}
    await seen.aclose()
