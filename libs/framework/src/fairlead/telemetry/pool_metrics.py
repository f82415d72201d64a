"""Pools of connections (PostgreSQL, Redis) on /metrics: how many are there, how many are in use, how many there may be.

Names are OpenTelemetry's for database clients. Read when somebody asks; a borrowed connection costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.telemetry.instruments import registry

__all__ = ["watch_pool"]

POOL: Final = "db_client_connection_pool_name"

_COUNT = registry.gauge(
    "db_client_connection_count", "Connections of a pool, by what they do.", labels=(POOL, "db_client_connection_state")
)
_MAX = registry.gauge("db_client_connection_max", "Connections that a pool may open, over all workers.", labels=(POOL,))


def watch_pool(name: str, *, idle: Callable[[], int], used: Callable[[], int], maximum: int) -> None:
    """Show a pool from now on; `idle` and `used` must be quick. A pool of the same name takes its predecessor's place."""
    _COUNT.labels(name, "idle").set_function(idle)
    _COUNT.labels(name, "used").set_function(used)
    _MAX.labels(name).set(maximum)
