"""What the table is made of: a setting, a row, and the events that fill one, in the order in which they are defined."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.load import Tally
from tests.chaos.prober import Prober
from tests.chaos.process import ServiceProcess

__all__ = ["EVENTS", "Row", "Setting", "event", "failures_of", "service_under", "shown"]

PROBE_LIMIT_S = 0.1
WAITS = 3
"""How often a probe waits for a CPU: to be accepted, to be answered, to be read."""

NOTABLE_S = 0.02
"""A machine that lets an idle process wait for longer is busy with something else."""


@dataclass(frozen=True)
class Setting:
    """On what, and how much."""

    workers: int
    loop: str
    stubs: Path
    requests: int
    """To be answered, at least, in each event under load."""
    reloads: int = 10
    kills: int = 20
    cycles: int = 10
    """Over how many runs the requests of a SIGTERM event are spread."""
    restarts: int = 400
    """How many workers come and go while the supervisor is looked at."""
    burials: int = 10_000
    """How many short-lived stand-ins for a worker it starts and buries."""


@dataclass
class Row:
    """One line of the table. `problems` is empty when all held."""

    event: str
    answered: int = 0
    failed: str = "–"
    rest: str = ""
    problems: list[str] = field(default_factory=list)

    def require(self, holds: bool, problem: str) -> None:
        """Note what does not hold."""
        if not holds and problem not in self.problems:
            self.problems.append(problem)

    def judge_probes(self, *probers: Prober, drains: bool = False, ready_throughout: bool = False) -> None:
        """All in time, alive in every state; not ready in a drain, ready throughout where nothing may be noticed."""
        seen = [prober.seen for prober in probers]
        slowest_s = max(each.slowest_s for each in seen)
        late_s = max(each.late_s for each in seen)
        self.rest += f"; probes ≤ {slowest_s * 1000:.0f} ms" + (
            f", CPU ≤ {late_s * 1000:.0f} ms late" if late_s > NOTABLE_S else ""
        )
        self.require(slowest_s <= PROBE_LIMIT_S + WAITS * late_s, f"a probe took {slowest_s * 1000:.0f} ms")
        self.require(not any(each.not_live for each in seen), "/livez said no")
        self.require(not drains or all(each.not_ready for each in seen), "/readyz did not say no in the drain")
        self.require(not ready_throughout or not any(each.not_ready for each in seen), "/readyz said no")


Event = Callable[[Setting], Awaitable[Row]]
EVENTS: dict[str, Event] = {}


def event(function: Event) -> Event:
    """Part of the table."""
    EVENTS[function.__name__.replace("_", "-")] = function
    return function


@asynccontextmanager
async def service_under(setting: Setting, name: str = "app", **settings: Any) -> AsyncIterator[ServiceProcess]:
    """A service of its own for an event; whatever is left of it is killed at the end."""
    service = await ServiceProcess.start(setting.workers, setting.loop, setting.stubs, name, **settings)
    try:
        yield service
    finally:
        await service.clear()


def failures_of(tally: Tally) -> Counter[str]:
    """How requests failed, and how often."""
    return Counter(f"{failure.style}: {failure.how}" for failure in tally.failures)


def shown(failures: Counter[str] | dict[str, Any]) -> str:
    """As it stands in the table."""
    total = sum(failures.values())
    return "0" if not total else f"{total} ({', '.join(f'{name} ×{count}' for name, count in failures.items())})"
