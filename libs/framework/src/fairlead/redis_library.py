"""redis-py, without what it loads on suspicion: every import of the library goes through here.

redis-py measures itself with OpenTelemetry when its SDK can be imported, and imports it for that (60 modules, 2.8 MB in every
worker) although nobody has switched that on. Our services carry the SDK and load it only where the OTEL_ variables ask for traces;
spans of Redis commands come from the contrib instrumentation, which needs none of this.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SUSPECTED: Final = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Modules that are not loaded yet can't be imported meanwhile."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes an import fail: docs.python.org, sys.modules
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _without(SUSPECTED):
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.connection import AbstractConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
    from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError
    from redis.maint_notifications import MaintNotificationsConfig

__all__ = [
    "AbstractConnection",
    "BlockingConnectionPool",
    "ConnectionError",
    "ExponentialWithJitterBackoff",
    "MaintNotificationsConfig",
    "NoBackoff",
    "ReadOnlyError",
    "Redis",
    "RedisError",
    "ResponseError",
    "Retry",
    "TimeoutError",
]
