"""`fairlead migrate` on a real PostgreSQL (mission K7)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

REVISION = """
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE item (id integer)")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the package `shop_to_migrate`, which has one revision."""
    versions = tmp_path / "shop_to_migrate" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_item.py").write_text(REVISION)
    (tmp_path / "shop_to_migrate" / "__init__.py").touch()
    return tmp_path


def migrate(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in that folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRLEAD_", "DATABASE_URL"))}
    command = [sys.executable, "-m", "fairlead", "migrate", *words]
    return subprocess.run(command, cwd=folder, env={**clean, **environment}, capture_output=True, text=True)


async def test_it_brings_the_schema_up_to_date(folder: Path, postgres_url: str) -> None:
    """K7, K9: once; a second run finds nothing to do. Both say so in the log, with status 0."""
    first = migrate(folder, "shop_to_migrate", DATABASE_URL=postgres_url)
    assert (first.returncode, first.stderr) == (0, "")
    second = migrate(folder, DATABASE_URL=postgres_url, FAIRLEAD_TARGET="shop_to_migrate.main:create_app")
    assert second.returncode == 0
    said = [[json.loads(line)["event"] for line in run.stdout.splitlines()] for run in (first, second)]
    assert said[0][-1] == "shop_to_migrate: applied 0001"
    assert said[1] == ["shop_to_migrate: the database has revision 0001, nothing to do"]
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT to_regclass('item') IS NOT NULL")
    await connection.close()


def test_the_address_may_come_from_a_mounted_secret(folder: Path, postgres_url: str) -> None:
    """K7: `DATABASE_URL_FILE`, as charts mount it."""
    (folder / "url").write_text(f"{postgres_url}\n")
    assert migrate(folder, "shop_to_migrate", DATABASE_URL_FILE=str(folder / "url")).returncode == 0


def test_a_package_without_migrations_is_one_line(folder: Path, postgres_url: str) -> None:
    """K7: exit 2."""
    run = migrate(folder, "json", DATABASE_URL=postgres_url)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("fairlead: ")
