"""A database for each service on one PostgreSQL server, the embedded one or any other.

On a server that somebody gave us (DATABASE_URL) nothing of theirs is touched: with `postgresql://…/shop` the services
use `shop_auth` and `shop_catalog`, made when they are missing and the role may do that. Only a URL without a database,
or with PostgreSQL's maintenance database `postgres`, gives the plain names `auth` and `catalog`.

Rejected: one schema per service in the given database (the search path would have to survive poolers, migrations and
each client's own settings).
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import asyncpg

from fairlead.local.failure import LocalError

__all__ = ["create_database", "database_url"]


def database_url(server_url: str, service: str) -> str:
    """The address of the database of `service` on that server."""
    address = urlsplit(server_url)
    given = address.path.removeprefix("/")
    name = service if given in ("", "postgres") else f"{given}_{service}"
    return address._replace(path=f"/{name}").geturl()


async def create_database(server_url: str, url: str) -> None:
    """Creates the database that `url` names, unless it is there.

    Raises LocalError when the server is out of reach, or the database is missing and the role may not create it."""
    name = unquote(urlsplit(url).path.removeprefix("/"))
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidCatalogNameError:
        pass
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise LocalError(f"database {name}: {_one_line(error)}") from None
    else:
        await connection.close()
        return
    try:
        connection = await asyncpg.connect(_maintenance(server_url))
        try:
            await connection.execute(f'CREATE DATABASE "{name.replace(chr(34), chr(34) * 2)}"')
        finally:
            await connection.close()
    except asyncpg.DuplicateDatabaseError:
        pass
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LocalError(f"database {name} is missing and can't be created here: {_one_line(error)}") from None


def _maintenance(server_url: str) -> str:
    address = urlsplit(server_url)
    return server_url if address.path.removeprefix("/") else address._replace(path="/postgres").geturl()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
