"""`attach` and `require_revision`: what an app does with PostgreSQL there, away, and not migrated."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Request, json
from fairlead.errors import ConfigurationError
from fairlead.postgres import Database, attach
from fairlead.postgres.migrations import upgrade
from fairlead.postgres.revisions import require_revision
from fairlead.testing import AsyncTestClient
from fairlead.testing.wire import Wire

from .conftest import MakePackage


def counting_app(url: str, **options: Any) -> tuple[App[Any, Any], Database]:
    app: App[Any, Any] = App("counting")
    database = attach(app, url, **options)

    @app.get("/")
    async def count(request: Request[Any, Any]) -> Any:
        return json(await database.fetchval("SELECT 1"))

    return app, database


async def test_outage_is_503_and_passes(wire: Wire) -> None:
    """The app starts while PostgreSQL is away, answers 503 with Retry-After, is unready, and recovers by itself."""
    await wire.cut()
    app, _ = counting_app(wire.url)
    async with AsyncTestClient(app) as client:
        await app.health.run()
        ready_before = app.health.ready
        response = await client.get("/", headers={"Accept": "application/json"})
        assert (503, "2", "application/problem+json") == (
            response.status_code,
            response.headers["retry-after"],
            response.headers["content-type"],
        )
        assert "The database is not available" == response.json()["detail"]
        await wire.mend()
        assert 200 == (await client.get("/")).status_code
        await app.health.run()
        assert (False, True) == (ready_before, app.health.ready)
        await wire.cut()
        assert 503 == (await client.get("/")).status_code


async def test_cause_is_logged_and_not_shown(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """SEC-A04: the operator reads why, the client does not."""
    await wire.cut()
    app, _ = counting_app(wire.url)
    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert "Refused" not in response.text
    assert any("ConnectionRefusedError" in str(vars(record)) for record in caplog.records)


async def test_pool_is_closed_last(postgres_url: str) -> None:
    """K2: what stops after the server may still use the database; the pool is closed after it."""
    app, database = counting_app(postgres_url)
    seen: list[int] = []

    @app.after_server_stop
    async def last_words(_app: App[Any, Any]) -> None:
        seen.append(await database.fetchval("SELECT 2"))

    async with AsyncTestClient(app):
        pass
    assert [2] == seen
    with pytest.raises(RuntimeError, match="not open"):
        await database.fetchval("SELECT 1")


async def test_connections_carry_the_name(postgres_url: str) -> None:
    """Whoever looks into pg_stat_activity sees whose connection it is."""
    app, database = counting_app(postgres_url, name="orders")
    async with AsyncTestClient(app):
        assert "orders" == await database.fetchval("SELECT current_setting('application_name')")
    assert ["orders"] == [check.name for check in app.health.readiness]


async def test_start_waits_for_the_migration(make_package: MakePackage, postgres_url: str) -> None:
    """K1: until the expected revision is there the app has not started, and says which is missing."""
    package = make_package("shop", "CREATE TABLE item (id int)", "ALTER TABLE item ADD COLUMN name text")
    app, database = counting_app(postgres_url)
    require_revision(app, database, package)
    async with AsyncTestClient(app):
        await app.health.run()
        assert "migration 0002 is expected, the database has none" == app.health.report()["migrations of shop"]["error"]
        started_before = app.health.started
        await database.execute("CREATE TABLE alembic_version_shop (version_num text)")
        await database.execute("INSERT INTO alembic_version_shop VALUES ('0001')")
        await app.health.run()
        assert "migration 0002 is expected, the database has 0001" == app.health.report()["migrations of shop"]["error"]
        await database.execute("DROP TABLE alembic_version_shop")
        await upgrade(package, postgres_url)
        await app.health.run()
        assert (False, True) == (started_before, app.health.started)


def test_package_without_migrations_stops_the_start(postgres_url: str) -> None:
    """K7: asking for the revisions of a package that has none is one clear line."""
    app, database = counting_app(postgres_url)
    with pytest.raises(ConfigurationError, match="no folder migrations/versions"):
        require_revision(app, database, "json")
