"""All services beside each other on one machine, each as it runs in production.

How it works. `Stack` starts, in this order: the embedded servers that are needed and not replaced by DATABASE_URL or
REDIS_URL, a database for each service, the migrations of each, and then every service as its own
`fairlead serve`: a supervisor, its workers, a management port. What is started is registered with one exit stack, so
that an end at any point stops exactly what runs, in reverse order: the services first, one after the other, then Valkey
and PostgreSQL. Nothing is waited for between two services (see `plan.py`), then all must be ready within one time-out.

From then on the stack watches: the first process that ends by itself ends the stack, with its name and exit status.

Two workers each, on every machine: enough to show that a service works across its workers, and bearable on a laptop
with many CPUs. FAIRLEAD_WORKERS and every other variable of the caller's environment win over what is set here.

Traces and metrics go to whoever listens at OTLP's usual port when the stack starts (`make observe`, a collector), unless the
caller's environment says anything of OpenTelemetry itself. Without a listener nothing of it is loaded, as in production.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from fairlead.local.child import Child, describe_exit, run_to_end
from fairlead.local.console import Console
from fairlead.local.databases import create_database, database_url
from fairlead.local.failure import LocalError
from fairlead.local.plan import Service
from fairlead.local.ports import LOOPBACK, holder, is_taken
from fairlead.local.postgresql import PostgreSQL
from fairlead.local.readiness import worker_count
from fairlead.local.valkey import Valkey

__all__ = ["Stack", "telemetry"]

T = TypeVar("T")

WORKERS: Final = "2"
READY_TIMEOUT_S: Final = 60.0
OTLP_PORT: Final = 4318
OTLP_TIMEOUT_S: Final = "1"
"""It is on this machine; and when it has gone, nobody wants to wait for it at the end."""
STOP_TIMEOUT_S: Final = 30.0
"""More than a service's own GRACEFUL_SHUTDOWN_TIMEOUT (15 s) and its listeners take; then it is killed."""
POLL_S: Final = 0.1
OURS: Final = ("DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "REDIS_URL_FILE")
"""What a service gets from here alone: its own database is never the one that the caller's DATABASE_URL names."""
SEEDED: Final = "seeded"
"""The file that remembers the seed: who empties a catalogue wants it empty."""
SETTLE_S: Final = 0.2
"""The services' own greetings come before the table, which is the last thing that one sees."""


class Stack:
    """The running stack: `async with Stack(services, data=…) as stack: await stack.wait()`.

    `data` is where everything local lives, one stack at a time (the caller holds the lock). Entering returns when every
    service is ready; it raises LocalError with the reason when that can't be, and stops what had been started.
    """

    def __init__(
        self, services: Sequence[Service], *, data: Path, environ: Mapping[str, str], console: Console | None = None
    ) -> None:
        self.services = tuple(services)
        self._data = data
        self._environ = environ
        self._console = console or Console([service.name for service in services])
        self._telemetry: dict[str, str] = {}
        self._exits = AsyncExitStack()
        self._served: list[Child] = []
        self._watches: set[asyncio.Task[str]] = set()

    async def __aenter__(self) -> Self:
        self._telemetry = telemetry(self._environ)
        if self._telemetry:
            self._console.say(f"Traces go to port {OTLP_PORT}, where {holder(OTLP_PORT)} listens.")
        try:
            postgres, redis = await _together(self._postgres(), self._redis())
            environments = [self._environment(service, postgres, redis) for service in self.services]
            pairs = list(zip(self.services, environments, strict=True))
            await _together(*(self._prepare(service, environment, postgres) for service, environment in pairs))
            for service, environment in pairs:
                await self._serve(service, environment)
            await self._unless_something_ends(self._show_addresses())
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def wait(self) -> str:
        """Waits for the first process that ends by itself, and says which it was and how it ended."""
        done, _ = await asyncio.wait(self._watches, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    def hurry(self) -> None:
        """Tells every service to end at once, without finishing what it does; for the second Ctrl-C."""
        for child in self._served:
            child.signal(signal.SIGTERM)

    async def erase(self) -> None:
        """Removes all local data. Only before entering."""
        await PostgreSQL(self._data / "postgresql").erase()
        await Valkey(self._data / "valkey").erase()
        for service in self.services:
            shutil.rmtree(self._data / service.name, ignore_errors=True)

    async def check_ports(self, *, wait_s: float = 0.0) -> None:
        """Raises LocalError, one line for each port that is taken and still is after `wait_s`."""
        deadline = asyncio.get_running_loop().time() + wait_s
        wanted = [(port, s.name) for s in self.services for port in (s.port, s.management_port)]
        while taken := [(port, name) for port, name in wanted if is_taken(port)]:
            if asyncio.get_running_loop().time() >= deadline:
                raise LocalError(*(f"port {port}, needed by {name}, is taken by {holder(port)}" for port, name in taken))
            await asyncio.sleep(POLL_S)

    async def _postgres(self) -> str:
        if not any("postgres" in service.needs for service in self.services):
            return ""
        if url := self._environ.get("DATABASE_URL"):
            return url
        with self._console.step("PostgreSQL", "ready"):
            return await self._embedded(PostgreSQL(self._data / "postgresql"))

    async def _redis(self) -> str:
        if not any("redis" in service.needs for service in self.services):
            return ""
        if url := self._environ.get("REDIS_URL"):
            return url
        with self._console.step("Valkey", "ready"):
            return await self._embedded(Valkey(self._data / "valkey"))

    async def _embedded(self, server: PostgreSQL | Valkey) -> str:
        await self._exits.enter_async_context(server)
        self._watch(server.wait())
        return server.url

    def _environment(self, service: Service, postgres: str, redis: str) -> dict[str, str]:
        own = service.resolved(self.services, self._data / service.name)
        if "postgres" in service.needs:
            own["DATABASE_URL"] = database_url(postgres, service.name)
        if "redis" in service.needs:
            own["REDIS_URL"] = redis
        defaults = {"FAIRLEAD_WORKERS": WORKERS, "FAIRLEAD_LOG_FORMAT": "console", "PYTHONUNBUFFERED": "1"}
        places = {
            "FAIRLEAD_HOST": LOOPBACK,
            "FAIRLEAD_PORT": str(service.port),
            "FAIRLEAD_MANAGEMENT_HOST": LOOPBACK,
            "FAIRLEAD_MANAGEMENT_PORT": str(service.management_port),
        }
        shared = {name: value for name, value in self._environ.items() if name not in OURS}
        return {**defaults, **self._telemetry, **own, **shared, **places}

    async def _prepare(self, service: Service, environment: Mapping[str, str], postgres: str) -> None:
        (self._data / service.name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if "postgres" in service.needs:
            await create_database(postgres, environment["DATABASE_URL"])
        if service.migrations is not None:
            with self._console.step(service.name, "migrated"):
                await self._run(service, "migration", _fairlead("migrate", service.migrations), environment)
        seeded = self._data / service.name / SEEDED
        if service.seed is not None and not seeded.exists():
            await self._run(service, "seed", [sys.executable, "-m", service.seed], environment)
            seeded.touch()

    async def _run(self, service: Service, what: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        status, lines = await run_to_end(command, environment=environment)
        if status:
            for line in lines:
                self._console.line(service.name, line)
            raise LocalError(f"{service.name}: the {what} ended with {describe_exit(status)} (see above)")

    async def _serve(self, service: Service, environment: Mapping[str, str]) -> None:
        child = await Child.start(_fairlead("serve", service.target), environment=environment)
        self._served.append(child)
        show = asyncio.create_task(self._show(service.name, child))

        async def stop() -> None:
            await child.stop(STOP_TIMEOUT_S)
            await asyncio.wait([show], timeout=STOP_TIMEOUT_S)  # what its workers still say
            show.cancel()

        async def end() -> str:
            status = await child.wait()
            return f"{service.name} ended by itself with {describe_exit(status)} (its last lines are above)"

        self._exits.push_async_callback(stop)
        self._watch(end())

    async def _show(self, name: str, child: Child) -> None:
        async for line in child.lines():
            self._console.line(name, line)

    def _watch(self, end: Coroutine[Any, Any, str]) -> None:
        watch = asyncio.create_task(end)
        self._watches.add(watch)
        self._exits.callback(watch.cancel)

    async def _show_addresses(self) -> None:
        counts = await _together(*(worker_count(service, READY_TIMEOUT_S) for service in self.services))
        await asyncio.sleep(SETTLE_S)
        rows = [
            (service.name, service.url, service.management_url, str(count), service.note)
            for service, count in zip(self.services, counts, strict=True)
        ]
        self._console.table([("service", "address", "management", "workers", ""), *rows])

    async def _unless_something_ends(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work, or raises LocalError when a process ends before it is done."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, *self._watches}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise LocalError(await self.wait())
            task.result()
        finally:
            task.cancel()


def telemetry(environ: Mapping[str, str], port: int = OTLP_PORT) -> dict[str, str]:
    """What the services are told of OpenTelemetry: nothing when the caller speaks of it, or when nobody listens on `port`."""
    if any(name.startswith("OTEL_") for name in environ) or not is_taken(port):
        return {}
    endpoint = f"http://{LOOPBACK}:{port}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": OTLP_TIMEOUT_S, "OTEL_LOGS_EXPORTER": "none"}


async def _together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Awaits all at once. The first LocalError ends the others, and nothing goes on in the background."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        expected, others = errors.split(LocalError)
        if others is not None or expected is None:
            raise
        raise expected.exceptions[0] from None
    return [task.result() for task in tasks]


def _fairlead(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fairlead", *arguments]
