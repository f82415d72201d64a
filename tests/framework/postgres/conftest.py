"""What the PostgreSQL tests share: a wire that can be cut, an open database, and packages with migrations."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fairlead.postgres import Database
from fairlead.testing.wire import Wire


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    async with Wire(postgres_url) as wire:
        yield wire


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
