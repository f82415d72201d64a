"""What a service says of its own health: checks for readiness and for start-up.

Checks run in the workers, because only they know the service. They run concurrently, each within its own time, and their last
result is kept: a probe never waits for a database. A check is an async function without arguments; it raises when unwell, and
the first line of the exception's text is what an operator reads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fairlead.types import Check


@dataclass(slots=True)
class HealthCheck:
    """One check and its last result; `error` is None while well, and before the first run what it waits for."""

    name: str
    check: Check
    critical: bool = True
    timeout_s: float = 2.0
    error: str | None = "not checked yet"

    async def run(self) -> None:
        """Run the check once. Never raises."""
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.check()
        except TimeoutError:
            self.error = f"no answer within {self.timeout_s:g} s"
        except Exception as exc:
            self.error = (str(exc).strip() or type(exc).__name__).splitlines()[0][:300]
        else:
            self.error = None


@dataclass(slots=True)
class Health:
    """The checks of an application."""

    readiness: list[HealthCheck] = field(default_factory=list)
    startup: list[HealthCheck] = field(default_factory=list)

    def add(self, name: str, check: Check, *, critical: bool = True, timeout_s: float = 2.0) -> None:
        """Add a readiness check. A critical one that fails takes the worker out of service, another one is only shown."""
        self.readiness.append(HealthCheck(name, check, critical, timeout_s))

    def add_startup(self, name: str, check: Check, *, timeout_s: float = 2.0) -> None:
        """Add a start-up check; once it has passed it isn't run again."""
        self.startup.append(HealthCheck(name, check, True, timeout_s))

    async def run(self) -> None:
        """Run all checks at once, start-up checks only until they pass."""
        waiting = [check for check in self.startup if check.error is not None]
        await asyncio.gather(*(check.run() for check in [*self.readiness, *waiting]))

    @property
    def started(self) -> bool:
        """Whether every start-up check has passed."""
        return all(check.error is None for check in self.startup)

    @property
    def ready(self) -> bool:
        """Whether the service is started and every critical check passes."""
        return self.started and all(check.error is None for check in self.readiness if check.critical)

    def report(self) -> dict[str, dict[str, Any]]:
        """Name → {"ok", "critical", "startup", "error"} for people."""
        return {
            check.name: {
                "ok": check.error is None,
                "critical": check.critical,
                "startup": check in self.startup,
                "error": check.error,
            }
            for check in [*self.startup, *self.readiness]
        }
