"""The servers that are measured: one module each, and nothing else to register.

A module says

    TITLE       the line's name in the table
    PACKAGES    the distributions that it needs and whose versions are reported
    WORKLOADS   the names of the workloads that it serves
    serve(port) runs one worker on 127.0.0.1 until SIGTERM, access log off; imports its packages here, not above

and answers what `benchmarks.workloads` asks for. Where a framework has a way of its own to validate a body, it is used; where it
has none, the body is decoded by msgspec, which is the fastest that its users could do.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """What a module says of itself."""

    name: str
    title: str
    packages: tuple[str, ...]
    workloads: tuple[str, ...]
    serve: Callable[[int], None]

    @property
    def is_observed(self) -> bool:
        """Whether it is for `benchmarks.telemetry` alone, whose packages it needs."""
        return "opentelemetry-sdk" in self.packages


def load(name: str) -> Peer:
    """The peer that the module `name` describes."""
    module = importlib.import_module(f"{__name__}.{name}")
    return Peer(name, module.TITLE, module.PACKAGES, module.WORKLOADS, module.serve)


def discover() -> list[Peer]:
    """All peers, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return [load(name) for name in names]
