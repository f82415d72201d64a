"""One Redis (or Valkey) client for each worker: time-outs, reconnecting, a health check, 503 while it is away.

How this works. `attach` makes a client of redis-py over a pool that opens connections on first use, so a service
starts while Redis is away and recovers alone when it is back. What a caller may count on:

- *Connecting is retried, commands are not.* Before a command is sent, its connection is checked; one that the server
  has closed meanwhile (a restart, an idle time-out) is replaced, with a short back-off. Once a command is on its way,
  a lost connection is an error: the server may have run it, and a second XADD or INCR would be wrong. Repeat by hand
  what is safe to repeat.
- *Everything ends.* Connecting, sending, reading an answer and waiting for a free connection each have a time-out. A
  blocking read must block for less than `timeout_s` (``xread(..., block=2_000)``); one that waits longer looks like a
  dead server.
- *An outage is an answer.* What redis-py raises then (`OUTAGE`) becomes a 503 with Retry-After when it leaves a
  handler. Code that has something better to do catches it; tasks see it as it is.
- *A failover is followed.* A server that has become a replica keeps its connections and refuses writes; each
  connection that hears so is closed, and the next one goes to whatever the name stands for by then.

Rejected: redis-py's own retry policy (it repeats every command, whatever it does), one connection for all (a blocking
read stops the rest), a wrapper class around the client (pipelines, scripts, locks and pubsub would all need their
own).
"""

from __future__ import annotations

import builtins
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fairlead.error_pages import error_response
from fairlead.errors import ConfigurationError, ServiceUnavailable
from fairlead.redis_library import (
    AbstractConnection,
    BlockingConnectionPool,
    ConnectionError,
    ExponentialWithJitterBackoff,
    MaintNotificationsConfig,
    NoBackoff,
    ReadOnlyError,
    Redis,
    Retry,
    TimeoutError,
)
from fairlead.settings import Secret
from fairlead.telemetry.instruments import CounterSeries
from fairlead.telemetry.pool_metrics import watch_pool

if TYPE_CHECKING:
    from fairlead.app import App
    from fairlead.request import Request
    from fairlead.response import HTTPResponse

__all__ = ["OUTAGE", "attach"]

logger = logging.getLogger("fairlead.redis")

OUTAGE: Final = (ConnectionError, TimeoutError, ReadOnlyError)
"""What redis-py raises while the server is away, slow, starting, refusing the password or no longer the primary: worth
trying again later."""

CONNECT_RETRIES: Final = 2
CONNECT_BACKOFF_S: Final = 0.05
CONNECT_BACKOFF_LIMIT_S: Final = 0.2
"""Three tries in about 0.15 s: as long as a server needs to restart, and short enough for a request that waits."""


def attach(
    app: App[Any, Any],
    url: str | Secret,
    *,
    name: str = "redis",
    critical: bool = True,
    max_connections: int = 50,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 2.0,
    pool_timeout_s: float = 1.0,
    retry_after_s: int = 1,
) -> Redis:
    """Give `app` a Redis client; call it once per server, before the app starts.

    `url` is ``redis://``, ``rediss://`` (TLS) or ``unix://``; what its query string says goes before the arguments
    here. `name` and `critical` are those of the readiness check: an app that can serve without Redis passes
    ``critical=False``. `timeout_s` limits each command, `pool_timeout_s` the wait for one of the `max_connections`,
    `retry_after_s` is what a 503 tells the client.

    Nothing connects before the first command. The client is closed at shutdown after everything that was attached
    later. Raises `ConfigurationError` for a malformed URL; the message never holds the URL, which may carry a
    password.
    """
    pool = _pool(
        url.reveal() if isinstance(url, Secret) else url,
        max_connections=max_connections,
        timeout=pool_timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_timeout_s,
    )
    client = Redis.from_pool(pool)

    async def check() -> None:
        await client.ping()

    def count(index: int) -> int:
        return int(pool.get_connection_count()[index][0])  # idle ones, then those in use

    pool.timeouts = watch_pool(
        name, idle=partial(count, 0), used=partial(count, 1), waiting=lambda: pool.waiting, maximum=pool.max_connections
    )

    @app.exception(*OUTAGE)
    def answer_outage(request: Request[Any, Any], exception: Exception) -> HTTPResponse:
        logger.warning("Redis can't be used: %s", exception)  # one line; a trace per request would bury the cause
        answer = ServiceUnavailable("The service can't reach its store at the moment", retry_after=retry_after_s)
        return error_response(request, answer, debug=app.debug, default_format=app.config.FALLBACK_ERROR_FORMAT)

    @app.after_server_stop
    async def close(app: App[Any, Any]) -> None:
        await client.aclose()

    app.health.add(name, check, critical=critical)
    return client


def _pool(url: str, **limits: Any) -> _Pool:
    try:
        return _Pool.from_url(
            url,
            retry=Retry(NoBackoff(), 0, supported_errors=OUTAGE),  # no repeats, but these close the connection
            # Off: a vendor's extension that costs a round trip per connection, and while it is on the pool hands out
            # connections that the server has closed.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **limits,
        )
    except ValueError as error:
        raise ConfigurationError(f"Redis URL: {_without_url(error)}") from None


def _without_url(error: ValueError) -> str:
    """The message without what urllib quotes, which may be the password; redis-py's name the parameter or the scheme."""
    message = str(error)
    return message if message.startswith(("Redis URL", "Invalid value for")) else "malformed host or port"


class _Pool(BlockingConnectionPool):
    """Waits for a free connection rather than refusing, and hands it out open, trying a few times to open it."""

    _opening: Final = Retry(
        ExponentialWithJitterBackoff(base=CONNECT_BACKOFF_S, cap=CONNECT_BACKOFF_LIMIT_S),
        CONNECT_RETRIES,
        supported_errors=(ConnectionError,),  # not TimeoutError: waiting once for a silent host is enough
    )
    waiting = 0
    """Who waits for a connection."""
    timeouts = CounterSeries()
    """Who waited for one in vain; `attach` gives each pool its own."""

    async def get_connection(self, command_name: str | None = None, *keys: Any, **options: Any) -> AbstractConnection:
        self.waiting += 1
        try:
            connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call]
            return connection
        except ConnectionError as error:
            if isinstance(error.__cause__, builtins.TimeoutError):
                self.timeouts.inc()
            raise
        finally:
            self.waiting -= 1

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        open_connection = super().ensure_connection

        async def close(error: Exception) -> None:
            await connection.disconnect(nowait=True)

        await self._opening.call_with_retry(lambda: open_connection(connection), close)
