"""What `[tool.fairlead]` in a service's pyproject.toml says about running it beside the others.

    [tool.fairlead]
    target = "catalog.main:create_app"     # what `fairlead serve` runs
    port = 8002
    management-port = 9002
    needs = ["postgres", "redis"]          # gives DATABASE_URL (a database of its own) and REDIS_URL
    migrations = "catalog"                 # the package for `fairlead migrate`
    seed = "catalog.seed"                  # a module that fills an empty database, run once after that
    after = ["auth"]                       # started after these, stopped before them
    note = "products"                      # a word in the table of addresses

    [tool.fairlead.environment]            # settings that only make sense on this machine
    AUTH_JWKS_URL = "{auth.url}/.well-known/jwks.json"

In the environment's values `{NAME.url}`, `{NAME.management-url}` and `{NAME.origins}` (the address under both of the
machine's names, as a list for CORS) stand for the addresses of a service, `{data}` for the folder of the service's own
local data. A value from the caller's environment wins over one from here.

The order is that of starting and stopping; nobody waits for anybody else to be ready, as nobody does in Kubernetes
either: a service that can't bear the absence of another one has a fault, and here is where it shows.
"""

from __future__ import annotations

import graphlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from fairlead.errors import ConfigurationError
from fairlead.local.ports import LOOPBACK

__all__ = ["Service", "read_services", "with_ports"]

REFERENCE = re.compile(r"\{([^{}]*)\}")


class Service(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """One service, as its pyproject.toml describes it."""

    name: str
    target: str
    port: int
    management_port: int
    needs: tuple[Literal["postgres", "redis"], ...] = ()
    migrations: str | None = None
    seed: str | None = None
    after: tuple[str, ...] = ()
    note: str = ""
    environment: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def management_url(self) -> str:
        """Where its probes and metrics are."""
        return f"http://{LOOPBACK}:{self.management_port}"

    @property
    def origins(self) -> str:
        """Its web origins: a browser may know this machine by either name."""
        return f"{self.url},http://localhost:{self.port}"

    def resolved(self, others: Iterable[Service], data: Path) -> dict[str, str]:
        """The environment with every reference replaced; raises `ConfigurationError` for one that means nothing."""
        words = {"data": str(data)}
        for other in others:
            words[f"{other.name}.url"] = other.url
            words[f"{other.name}.management-url"] = other.management_url
            words[f"{other.name}.origins"] = other.origins

        def word(match: re.Match[str]) -> str:
            if match[1] not in words:
                raise ConfigurationError(f"{self.name}: no such reference: {match[0]}; known: {', '.join(words)}")
            return words[match[1]]

        return {name: REFERENCE.sub(word, value) for name, value in self.environment.items()}


def read_services(root: Path) -> tuple[Service, ...]:
    """The services below `root`/services that say how to run them, in the order of starting.

    Raises `ConfigurationError` with every problem: a malformed table, an unknown name, a circle, a port given twice."""
    services: dict[str, Service] = {}
    problems: list[str] = []
    for file in sorted(root.glob("services/*/pyproject.toml")):
        try:
            table = tomllib.loads(file.read_text()).get("tool", {}).get("fairlead")
            if table is not None:
                services[file.parent.name] = msgspec.convert({"name": file.parent.name, **table}, Service)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            problems.append(f"{file.relative_to(root)}: [tool.fairlead]: {error}")
    problems += _contradictions(services)
    if not services and not problems:
        problems.append(f"no services/*/pyproject.toml below {root} has a table [tool.fairlead]")
    if problems:
        raise ConfigurationError(*problems)
    return _ordered(services)


def _contradictions(services: Mapping[str, Service]) -> list[str]:
    problems = []
    owners: dict[int, str] = {}
    for service in services.values():
        problems += [f"{service.name}: after: no service {name}" for name in service.after if name not in services]
        for port in (service.port, service.management_port):
            if port in owners:
                problems.append(f"{service.name}: port {port} is also a port of {owners[port]}")
            owners[port] = service.name
    return problems


def _ordered(services: Mapping[str, Service]) -> tuple[Service, ...]:
    try:
        names = graphlib.TopologicalSorter({name: service.after for name, service in services.items()}).static_order()
        return tuple(services[name] for name in names)
    except graphlib.CycleError as error:
        raise ConfigurationError(f"after: these services wait for each other: {', '.join(error.args[1])}") from None


def with_ports(services: Iterable[Service], choose: Callable[[], int]) -> tuple[Service, ...]:
    """The same services on ports that `choose` gives, one call for each port: stacks for tests."""
    return tuple(msgspec.structs.replace(each, port=choose(), management_port=choose()) for each in services)
