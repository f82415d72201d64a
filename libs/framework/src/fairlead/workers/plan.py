"""What the supervisor is asked to do, decided once before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.workers.cgroup import WorkerCount

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that supervisor and workers need to know, with nothing left to look up. Times are seconds."""

    target: str
    """`MODULE:NAME`, imported by the workers only."""
    workers: WorkerCount = field(default_factory=lambda: WorkerCount(1, "by default"))
    host: str = "127.0.0.1"
    port: int = 8000
    backlog: int = 2048
    """Connections that may wait to be accepted, for each worker."""
    management_host: str = "127.0.0.1"
    management_port: int = 9000
    drain_delay_s: float = 0.0
    """How long to keep serving after the signal to stop, for load balancers to take notice."""
    graceful_shutdown_timeout_s: float = 15.0
    """How long work in flight may take after that."""
    heartbeat_timeout_s: float = 30.0
    """A loop that has not turned for this long is blocked, and its worker is replaced."""
    start_timeout_s: float = 60.0
    """How long a worker may take to become ready."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Configuration for the workers beside the environment, by key."""
