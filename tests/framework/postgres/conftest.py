"""What the PostgreSQL tests share: a wire that can be cut, an open database, and packages with migrations."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from fairlead.postgres import Database


class Wire:
    """A TCP relay in front of the real PostgreSQL: it can be cut, mended, and made silent."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    @property
    def url(self) -> str:
        user, separator, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{user}{separator}127.0.0.1:{self.port}"))

    async def mend(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Keep the connections but carry nothing."""
        self._flowing.clear()

    def speak(self) -> None:
        self._flowing.set()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}
            writer.close()
            back.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    wire = Wire(postgres_url)
    await wire.mend()
    yield wire
    wire.speak()
    await wire.cut()


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, max_size=2)
    await database.open()
    yield database
    await database.close()


MakePackage = Callable[..., str]


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Makes an importable package whose revisions run the given statements: `make_package("shop", "CREATE …", "ALTER
    …")`.
    """
    made: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, *statements: str) -> str:
        folder = tmp_path / name / "migrations" / "versions"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "__init__.py").write_text("")
        for number, statement in enumerate(statements, start=1):
            write_revision(folder, f"{number:04}", f"{number - 1:04}" if number > 1 else None, statement)
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


def write_revision(folder: Path, revision: str, down: str | None, statement: str) -> None:
    (folder / f"{revision}_step.py").write_text(
        "from alembic import op\n\n"
        f"revision: str = {revision!r}\n"
        f"down_revision = {down!r}\n\n\n"
        f"def upgrade() -> None:\n    op.execute({statement!r})\n"
    )
