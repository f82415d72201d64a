"""Pools of connections (PostgreSQL, Redis) on /metrics: how many are there, in use, waited for; how many there may be.

Names are OpenTelemetry's for database clients. Read when somebody asks; a borrowed connection costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.telemetry.instruments import CounterSeries, registry

__all__ = ["watch_pool"]

POOL: Final = "db_client_connection_pool_name"

_COUNT = registry.gauge(
    "db_client_connection_count", "Connections of a pool, by what they do.", labels=(POOL, "db_client_connection_state")
)
_MAX = registry.gauge("db_client_connection_max", "Connections that a pool may open, over all workers.", labels=(POOL,))
_PENDING = registry.gauge("db_client_connection_pending_requests", "Who waits for a connection of a pool.", labels=(POOL,))
_TIMEOUTS = registry.counter("db_client_connection_timeouts_total", "Who waited for one in vain.", labels=(POOL,))


def watch_pool(
    name: str, *, idle: Callable[[], int], used: Callable[[], int], waiting: Callable[[], int], maximum: int
) -> CounterSeries:
    """Show a pool from now on; the functions must be quick. A pool of the same name takes its predecessor's place.

    Returns what to count those in who waited for a connection in vain.
    """
    _COUNT.labels(name, "idle").set_function(idle)
    _COUNT.labels(name, "used").set_function(used)
    _PENDING.labels(name).set_function(waiting)
    _MAX.labels(name).set(maximum)
    return _TIMEOUTS.labels(name)
