"""A database for each service, on any server."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg
import pytest

from fairlead.local import LocalError
from fairlead.local.databases import create_database, database_url
from fairlead.local.ports import free_port


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@host:1/postgres", "postgresql://u:p@host:1/auth"),
        ("postgresql://u:p@host:1", "postgresql://u:p@host:1/auth"),
        ("postgresql://u:p@host:1/shop?sslmode=require", "postgresql://u:p@host:1/shop_auth?sslmode=require"),
    ],
)
def test_database_url(given: str, expected: str) -> None:
    """The given database is never used itself; its name becomes a prefix, so that two stacks can share a server."""
    assert expected == database_url(given, "auth")


async def drop(server_url: str, url: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f'DROP DATABASE "{urlsplit(url).path[1:]}"')
    await connection.close()


async def test_create_twice(postgres_url: str) -> None:
    """A missing database is created, one that is there is left alone."""
    url = database_url(postgres_url, "auth")
    try:
        await create_database(postgres_url, url)
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE boat ()")
        await connection.close()
        await create_database(postgres_url, url)
        connection = await asyncpg.connect(url)
        assert 0 == await connection.fetchval("SELECT count(*) FROM boat")
        await connection.close()
    finally:
        await drop(postgres_url, url)


async def test_may_not_create(postgres_url: str) -> None:
    """A role that may not create databases is told which one is missing."""
    name = urlsplit(postgres_url).path[1:]
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE ROLE \"guest_{name}\" LOGIN PASSWORD 'anchor'")
    address = urlsplit(postgres_url)
    guest = address._replace(netloc=f"guest_{name}:anchor@{address.hostname}:{address.port}").geturl()
    try:
        with pytest.raises(LocalError, match=f"database {name}_auth is missing and can't be created here: permission"):
            await create_database(guest, database_url(guest, "auth"))
    finally:
        await connection.execute(f'DROP ROLE "guest_{name}"')
        await connection.close()


async def test_no_server() -> None:
    """A server that does not answer is one line."""
    url = f"postgresql://u:p@127.0.0.1:{free_port()}/auth"
    with pytest.raises(LocalError, match=r"database auth: .*onnect"):
        await create_database(url, url)
