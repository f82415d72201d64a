"""Blueprints: parts of an application that are written on their own and put together under prefixes (mission P3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from fairlead.registrar import Registrar

Version = int | float | str | None


@dataclass(frozen=True, slots=True)
class Placement:
    """A blueprint with everything that the groups around it add."""

    blueprint: Blueprint
    prefix: str
    version: Version
    version_prefix: str | None
    strict_slashes: bool | None
    name: str


class Blueprint(Registrar):
    """Routes, middleware, error handlers and listeners of one part. `app.blueprint(bp)` adds it."""

    def __init__(
        self,
        name: str,
        url_prefix: str | None = None,
        host: str | list[str] | None = None,
        version: Version = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
    ) -> None:
        super().__init__(name, strict_slashes=strict_slashes)
        self.url_prefix = url_prefix or ""
        self.host = host
        self.version = version
        self.version_prefix = version_prefix
        self.apps: WeakSet[Any] = WeakSet()
        """The applications that this blueprint was added to."""

    def __repr__(self) -> str:
        return f"<Blueprint {self.name} {self.url_prefix}>"

    @staticmethod
    def group(
        *blueprints: Blueprint | BlueprintGroup,
        url_prefix: str | None = None,
        version: Version = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str | None = None,
    ) -> BlueprintGroup:
        """Several blueprints under one prefix; groups nest."""
        return BlueprintGroup(
            blueprints,
            url_prefix=url_prefix,
            version=version,
            strict_slashes=strict_slashes,
            version_prefix=version_prefix,
            name_prefix=name_prefix,
        )

    # Signals

    async def dispatch(
        self, event: str, *, condition: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None, **options: Any
    ) -> list[Any]:
        """`app.dispatch` for the handlers of this blueprint alone; a result for each application that has it."""
        return [await app._dispatch_to(self, event, condition, context, **options) for app in self.apps]

    async def event(
        self, event: str, timeout: float | None = None, *, condition: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Wait until an event is dispatched to this blueprint or to its application. Raises as `app.event`."""
        (app,) = self.apps
        app.finalise()
        must_exist = not app.config.EVENT_AUTOREGISTER
        values: dict[str, Any] = await app.signals.wait(event, timeout, condition, blueprint=self, must_exist=must_exist)
        return values

    def placements(self) -> Iterator[Placement]:
        """This blueprint on its own."""
        yield Placement(self, self.url_prefix, self.version, self.version_prefix, self.strict_slashes, self.name)


class BlueprintGroup:
    """Blueprints and groups that share a prefix, a version, and middleware."""

    def __init__(
        self,
        blueprints: Sequence[Blueprint | BlueprintGroup] = (),
        *,
        url_prefix: str | None = None,
        version: Version = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str | None = None,
    ) -> None:
        self.blueprints = list(blueprints)
        self.url_prefix = url_prefix or ""
        self.version = version
        self.strict_slashes = strict_slashes
        self.version_prefix = version_prefix
        self.name_prefix = name_prefix

    def append(self, blueprint: Blueprint | BlueprintGroup) -> None:
        """Add a blueprint or a group."""
        self.blueprints.append(blueprint)

    def extend(self, blueprints: Iterable[Blueprint | BlueprintGroup]) -> None:
        """Add several."""
        self.blueprints.extend(blueprints)

    def placements(self) -> Iterator[Placement]:
        """Every blueprint inside; what is nearer to the route wins."""
        for member in self.blueprints:
            for inner in member.placements():
                yield Placement(
                    inner.blueprint,
                    self.url_prefix.rstrip("/") + inner.prefix,
                    inner.version if inner.version is not None else self.version,
                    inner.version_prefix if inner.version_prefix is not None else self.version_prefix,
                    inner.strict_slashes if inner.strict_slashes is not None else self.strict_slashes,
                    f"{self.name_prefix}_{inner.name}" if self.name_prefix else inner.name,
                )

    def middleware(self, *arguments: Any, **options: Any) -> Any:
        """Decorator: the middleware of every blueprint inside."""
        if arguments and callable(arguments[0]):
            return self._on_each("middleware", arguments, options)
        return lambda function: self._on_each("register_middleware", (function, *arguments), options)

    def on_request(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Decorator: before the handlers of every blueprint inside."""
        if middleware is None:
            return lambda function: self.on_request(function, priority=priority)
        return self._on_each("on_request", (middleware,), {"priority": priority})

    def on_response(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Decorator: after the handlers of every blueprint inside."""
        if middleware is None:
            return lambda function: self.on_response(function, priority=priority)
        return self._on_each("on_response", (middleware,), {"priority": priority})

    def exception(self, *exceptions: Any) -> Any:
        """Decorator: the error handler of every blueprint inside."""

        def register(handler: Any) -> Any:
            for placement in self.placements():
                placement.blueprint.exception(*exceptions)(handler)
            return handler

        return register

    def _on_each(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        for placement in self.placements():
            getattr(placement.blueprint, method)(*arguments, **options)
        return arguments[0]
