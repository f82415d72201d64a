"""`upgrade`: once for ten replicas, all or nothing for each revision, and one clear line for whatever goes wrong."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from fairlead.postgres import Database
from fairlead.postgres.migrations import ADVISORY_LOCK, MigrationError, current_revision, upgrade
from fairlead.settings import Secret
from fairlead.testing.wire import Wire

from .conftest import MakePackage, write_revision

CREATE = "CREATE TABLE item (id int PRIMARY KEY)"
ALTER = "ALTER TABLE item ADD COLUMN name text"


async def failure(package: str, url: str, *, wait_s: float = 60, lock_timeout_s: float = 10) -> str:
    with pytest.raises(MigrationError) as caught:
        await upgrade(package, url, wait_s=wait_s, lock_timeout_s=lock_timeout_s)
    return str(caught.value)


async def test_upgrade_applies_what_is_missing(
    make_package: MakePackage, postgres_url: str, database: Database, tmp_path: Path
) -> None:
    """All revisions at first, then only the new one, then none."""
    package = make_package("shop", CREATE)
    assert ("0001",) == await upgrade(package, Secret(postgres_url))
    write_revision(tmp_path / "shop" / "migrations" / "versions", "0002", "0001", ALTER)
    assert ("0002",) == await upgrade(package, postgres_url)
    assert () == await upgrade(package, postgres_url)
    assert "0002" == await current_revision(database, package)
    await database.execute("INSERT INTO item (id, name) VALUES (1, 'rope')")


async def test_ten_replicas_migrate_once(make_package: MakePackage, postgres_url: str) -> None:
    """Ten that start at the same time: one applies both revisions, nine find nothing to do."""
    package = make_package("shop", CREATE, ALTER)
    results = await asyncio.gather(*(upgrade(package, postgres_url) for _ in range(10)))
    assert [()] * 9 + [("0001", "0002")] == sorted(results)


async def test_packages_share_a_database(make_package: MakePackage, postgres_url: str, database: Database) -> None:
    """Each package has its own history, also when both migrate at once."""
    shop, port = make_package("shop", CREATE, ALTER), make_package("port", "CREATE TABLE pier (id int)")
    await asyncio.gather(upgrade(shop, postgres_url), upgrade(port, postgres_url))
    assert ("0002", "0001") == (await current_revision(database, shop), await current_revision(database, port))


async def test_failed_revision_is_rolled_back(
    make_package: MakePackage, postgres_url: str, database: Database, tmp_path: Path
) -> None:
    """The revision that fails leaves nothing behind, those before it stay; the error names it and PostgreSQL's
    reason.
    """
    package = make_package("shop", CREATE, ALTER)
    (tmp_path / "shop" / "migrations" / "versions" / "0002_step.py").write_text(
        "from alembic import op\n\nrevision = '0002'\ndown_revision = '0001'\n\n\n"
        f"def upgrade():\n    op.execute({ALTER!r})\n    op.execute('DROP TABLE missing')\n"
    )
    assert 'shop: migration 0002 failed and was rolled back: table "missing" does not exist' == await failure(package, postgres_url)
    assert "0001" == await current_revision(database, package)
    assert 1 == await database.fetchval("SELECT count(*) FROM information_schema.columns WHERE table_name = 'item'")


async def test_broken_revision_file(make_package: MakePackage, postgres_url: str, tmp_path: Path) -> None:
    """A revision that raises in Python is the same one line, and the lock is free again."""
    package = make_package("shop", CREATE)
    (tmp_path / "shop" / "migrations" / "versions" / "0001_step.py").write_text(
        "revision = '0001'\ndown_revision = None\n\n\ndef upgrade():\n    raise KeyError('rope')\n"
    )
    assert "shop: migration 0001 failed and was rolled back: KeyError: 'rope'" == await failure(package, postgres_url)
    assert ("0001",) == await upgrade(make_package("port", CREATE), postgres_url, wait_s=0)


async def test_newer_database_is_left_alone(
    make_package: MakePackage, postgres_url: str, database: Database, tmp_path: Path
) -> None:
    """The migration job of a release that is rolled back to does nothing, and does not fail."""
    package = make_package("shop", CREATE, ALTER)
    await upgrade(package, postgres_url)
    (tmp_path / "shop" / "migrations" / "versions" / "0002_step.py").unlink()
    assert () == await upgrade(package, postgres_url)
    assert "0002" == await current_revision(database, package)


async def test_revision_outside_a_transaction(
    make_package: MakePackage, postgres_url: str, database: Database, tmp_path: Path
) -> None:
    """CREATE INDEX CONCURRENTLY works in Alembic's autocommit block, also while another replica waits for the lock."""
    package = make_package("shop", CREATE, ALTER)
    (tmp_path / "shop" / "migrations" / "versions" / "0003.py").write_text(
        "from alembic import op\n\nrevision = '0003'\ndown_revision = '0002'\n\n\n"
        "def upgrade():\n    with op.get_context().autocommit_block():\n"
        "        op.execute('CREATE INDEX CONCURRENTLY item_name ON item (name)')\n"
    )
    results = await asyncio.gather(upgrade(package, postgres_url), upgrade(package, postgres_url))
    assert [(), ("0001", "0002", "0003")] == sorted(results)
    assert 1 == await database.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = 'item_name'")


async def test_lock_wait_is_bounded(make_package: MakePackage, postgres_url: str) -> None:
    """A migration that never ends makes the next one give up, naming who keeps the lock."""
    holder = await asyncpg.connect(postgres_url, server_settings={"application_name": "migrate harbour"})
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        expected = f"shop: another migration is still running: migrate harbour (pid {holder.get_server_pid()})"
        assert expected == await failure(make_package("shop", CREATE), postgres_url, wait_s=0)
    finally:
        await holder.close()


async def test_locked_table_does_not_queue_everybody(make_package: MakePackage, postgres_url: str) -> None:
    """An ALTER TABLE that can't have its lock gives up after `lock_timeout_s` instead of blocking every reader behind
    it.
    """
    package = make_package("shop", CREATE)
    await upgrade(package, postgres_url)
    make_package("shop", CREATE, ALTER)
    reader = await asyncpg.connect(postgres_url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT * FROM item")
            assert "shop: migration 0002 failed and was rolled back: canceling statement due to lock timeout" == (
                await failure(package, postgres_url, lock_timeout_s=0.05)
            )
    finally:
        await reader.close()


async def test_waits_for_postgres_to_come_up(make_package: MakePackage, wire: Wire) -> None:
    """A migration that starts together with PostgreSQL waits for it; one that waits in vain says why."""
    package = make_package("shop", CREATE)
    await wire.cut()
    assert "shop: PostgreSQL does not answer" in await failure(package, wire.url, wait_s=0)
    waiting = asyncio.create_task(upgrade(package, wire.url))
    await asyncio.sleep(0)
    await wire.mend()
    assert ("0001",) == await waiting


async def test_refused_login_fails_at_once(make_package: MakePackage, postgres_url: str) -> None:
    """Waiting does not make a missing database appear: one line, no retry."""
    url = f"{postgres_url}_missing"
    line = await failure(make_package("shop", CREATE), url)
    assert line.startswith("shop: database ")
    assert line.endswith("does not exist")
