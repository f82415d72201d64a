"""Dependencies: how a value of a type is made, and how long it lives.

    app.add_dependency(Pool, open_pool, scope="worker")     # async def open_pool(): …; yield pool; …
    app.add_dependency(Session, begin)                      # async def begin(pool: Pool): async with …: yield session
    app.dependency(Clock())

A handler, or another provider, asks for one by annotation. A provider is a function, a class, an async function, or a generator
that yields the value once and cleans up behind it. It may ask for the request, for path parameters by their names, for marked
values (`Query[T]` …) and for other dependencies.

Scopes: "request" (the default) is made once for each request that needs it and torn down when the handler has ended; "worker" is
made when a worker starts and torn down, in reverse order, when it stops; "singleton" is made once and lives as long as the
application's process. What lives longer can't ask for what lives shorter.

`Injector.prepare` looks at all of it before anything is served: a type that nobody provides, a circle, a scope that doesn't fit
are one TypeError each, which names the way that leads there.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_origin

from fairlead.injection.marks import Place
from fairlead.injection.signature import Parameter, parameters_of
from fairlead.injection.sources import Extract, reader_of
from fairlead.request import Request

Scope: TypeAlias = Literal["singleton", "worker", "request"]

_LIFETIMES: dict[Scope, int] = {"request": 0, "worker": 1, "singleton": 2}


@dataclass(frozen=True, slots=True)
class Dependency:
    """One call of `add_dependency`."""

    kind: Any
    constructor: Callable[..., Any] | None
    scope: Scope = "request"

    def __post_init__(self) -> None:
        if self.scope not in _LIFETIMES:
            raise ValueError(f"the scope {self.scope!r} of {name_of(self.kind)} is none of {', '.join(_LIFETIMES)}")
        if self.constructor is None and not isinstance(self.kind, type):
            raise TypeError(f"{name_of(self.kind)} is no class: give the function that makes it")


@dataclass(slots=True, eq=False)
class Provider:
    """A dependency whose needs are found: what to call with what."""

    kind: Any
    scope: Scope
    make: Callable[..., Any]
    is_context: bool
    is_async_context: bool
    needs: list[tuple[str, Provider]] = field(default_factory=list)
    reads: list[tuple[str, Extract]] = field(default_factory=list)
    marked: list[Parameter] = field(default_factory=list)
    path_names: list[str] = field(default_factory=list)
    request_names: list[str] = field(default_factory=list)
    places: set[Place] = field(default_factory=set)


def name_of(kind: Any) -> str:
    """A type as messages show it."""
    return kind.__qualname__ if isinstance(kind, type) else str(kind)


def is_request(parameter: Parameter) -> bool:
    """Whether a parameter is the request itself."""
    return parameter.name == "request" or (get_origin(parameter.kind) or parameter.kind) is Request


class Providers:
    """The dependencies of an application, by type."""

    def __init__(self) -> None:
        self._dependencies: dict[Any, Dependency] = {}
        self._providers: dict[Any, Provider] = {}

    def add(self, dependency: Dependency) -> None:
        """Register one. Raises ValueError for a second one of the same type."""
        known = self._dependencies.setdefault(dependency.kind, dependency)
        if known is not dependency:
            raise ValueError(f"there are two dependencies of the type {name_of(dependency.kind)}")

    def __contains__(self, kind: Any) -> bool:
        try:
            return kind in self._dependencies
        except TypeError:  # an annotation that has no hash
            return False

    def __iter__(self) -> Iterator[Provider]:
        return (self.provider_of(kind) for kind in self._dependencies)

    def provider_of(self, kind: Any, way: tuple[Any, ...] = ()) -> Provider:
        """The provider of a type. Raises TypeError for what can't be provided; `way` is what has asked for it."""
        if kind in self._providers:
            return self._providers[kind]
        if kind in way:
            circle = " → ".join(name_of(step) for step in (*way[way.index(kind) :], kind))
            raise TypeError(f"dependencies need each other: {circle}")
        dependency = self._dependencies[kind]
        provider = _provider_of(dependency)
        for parameter in parameters_of(dependency.constructor or dependency.kind):
            self._resolve(provider, parameter, (*way, kind))
        self._providers[kind] = provider
        return provider

    def _resolve(self, provider: Provider, parameter: Parameter, way: tuple[Any, ...]) -> None:
        """Find out how a provider has one of its parameters."""
        here = f"{parameter.name} of the dependency {' → '.join(map(name_of, way))}"
        if parameter.kind in self:
            needed = self.provider_of(parameter.kind, way)
            if _LIFETIMES[needed.scope] < _LIFETIMES[provider.scope]:
                raise TypeError(f"{here}: its scope is {needed.scope}, too short for one whose scope is {provider.scope}")
            provider.needs.append((parameter.name, needed))
            provider.places |= needed.places
        elif parameter.place is None and not is_request(parameter):
            if parameter.is_required and provider.scope == "request":
                provider.path_names.append(parameter.name)  # `bind` knows whether the path has it
            elif parameter.is_required:
                raise TypeError(f"{here}: there is no dependency of the type {name_of(parameter.kind)}")
        elif provider.scope != "request":
            raise TypeError(f"{here}: one whose scope is {provider.scope} has no request")
        elif parameter.place is None:
            provider.request_names.append(parameter.name)
        else:
            provider.reads.append((parameter.name, reader_of(parameter)))
            provider.marked.append(parameter)
            provider.places.add(parameter.place)


def _provider_of(dependency: Dependency) -> Provider:
    make = dependency.constructor or dependency.kind
    inner = inspect.unwrap(make)
    is_async, is_sync = inspect.isasyncgenfunction(inner), inspect.isgeneratorfunction(inner)
    if dependency.scope == "singleton" and (is_async or is_sync):
        raise TypeError(f"a singleton is never torn down, so no generator makes one: {name_of(dependency.kind)} is a worker's")
    if inner is make and is_async:
        make = contextlib.asynccontextmanager(make)
    elif inner is make and is_sync:
        make = contextlib.contextmanager(make)
    return Provider(dependency.kind, dependency.scope, make, is_sync, is_async)
