"""The connection that handlers get: asyncpg's own, with one addition: an outage of PostgreSQL is an answer, not a
crash.

How this works. asyncpg lets a pool use a subclass of its connection. This one wraps the five methods that send a
statement: an error that means "PostgreSQL is away, overloaded or shutting down" leaves them as `ServiceUnavailable`
(503, Retry-After), every other error leaves them as it is. The mapping sits here, at the source, and not around a
``transaction()`` block: a ConnectionError that a handler's block gets from somewhere else (Redis, an HTTP client) must
not be taken for one of PostgreSQL.

Rejected: retrying here. Whether a statement that lost its connection was carried out is unknown; only the caller knows
whether a second time does harm.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import asyncpg

from fairlead.errors import ServiceUnavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["DRIVER_ERRORS", "Connection", "GuardedConnection", "is_lost", "is_outage", "keep_session", "unavailable"]

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
"""The type of what `Database.transaction` gives: asyncpg's connection API."""

RETRY_AFTER_S: Final = 2
"""A failover or a restart of a healthy PostgreSQL takes seconds; a longer pause only lengthens the outage for the
client.
"""

_OUTAGES: Final = (
    asyncpg.PostgresConnectionError,  # class 08: the connection is gone or was never made
    asyncpg.InsufficientResourcesError,  # class 53: too many connections, out of memory, disk full
    asyncpg.OperatorInterventionError,  # class 57: admin shutdown, crash shutdown, starting up, statement cancelled
    OSError,  # refused, reset, unreachable, name not found; TimeoutError is one of them (command_timeout_s)
)
DRIVER_ERRORS: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def is_outage(error: Exception, *, closed: bool) -> bool:
    """Does `error` mean that PostgreSQL can't be used at the moment?

    asyncpg's own errors ("connection is closed") say so only if the connection really is `closed`; otherwise they are
    mistakes in the program.
    """
    return isinstance(error, _OUTAGES) or (closed and isinstance(error, DRIVER_ERRORS))


def is_lost(connection: Connection) -> bool:
    """Was the borrowed connection closed? The pool takes such a one back at once; every use of it is an
    InterfaceError.
    """
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def unavailable(error: Exception) -> ServiceUnavailable:
    """The answer to the client; the cause is for the log only."""
    cause = f"{type(error).__name__}: {error}"
    return ServiceUnavailable("The database is not available", retry_after=RETRY_AFTER_S, extra={"cause": cause})


def _mapped(method: F) -> F:
    name = method.__name__

    @functools.wraps(method)
    async def call(connection: GuardedConnection, *args: Any, **kwargs: Any) -> Any:
        try:  # looked up each time: tracing replaces asyncpg's methods after this module was loaded
            return await getattr(asyncpg.Connection, name)(connection, *args, **kwargs)
        except Exception as error:
            if is_outage(error, closed=connection.is_closed()):
                raise unavailable(error) from error
            raise

    return cast("F", call)


class GuardedConnection(asyncpg.Connection):
    """asyncpg's connection with outages mapped. Statements of ``prepare()`` and cursors raise asyncpg's errors."""

    execute = _mapped(asyncpg.Connection.execute)
    executemany = _mapped(asyncpg.Connection.executemany)
    fetch = _mapped(asyncpg.Connection.fetch)
    fetchrow = _mapped(asyncpg.Connection.fetchrow)
    fetchval = _mapped(asyncpg.Connection.fetchval)


async def keep_session(_connection: object) -> None:
    """Called by the pool when a connection comes back, after open transactions were rolled back and listeners removed.

    PERF: asyncpg's default sends a reset script here, a second round trip for every statement; without it a statement by
    key costs 52 instead of 62 µs of CPU, and half the way. Single statements and transactions leave nothing to reset;
    `Database.connection`, which does, resets for itself.
    """
