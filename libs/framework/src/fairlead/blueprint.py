"""Blueprints: parts of an application that are written on their own and put together under prefixes (mission P3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

from fairlead.errors import SignalNotFound
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
        self.ctx = SimpleNamespace()
        """For what belongs to this part."""
        self.apps: WeakSet[Any] = WeakSet()
        """The applications that this blueprint was added to."""
        self.copied_from = ""

    def __repr__(self) -> str:
        return f"<Blueprint {self.name} {self.url_prefix}>"

    @property
    def registered(self) -> bool:
        """Whether an application has it."""
        return bool(self.apps)

    def copy(self, name: str, *, with_ctx: bool = False, **changed: Any) -> Blueprint:
        """A new blueprint with everything that is attached to this one, under another name.

        `url_prefix`, `host`, `version`, `strict_slashes` and `version_prefix` may be changed; other keywords are a TypeError. What
        is attached to either of them later, the other doesn't have. `ctx` is copied if asked for.
        """
        kept = ("url_prefix", "host", "version", "strict_slashes", "version_prefix")
        copy = Blueprint(name, **{**{key: getattr(self, key) for key in kept}, **changed})
        for key, value in vars(self).items():
            if key.endswith(("_records", "_middleware", "_handlers")):
                setattr(copy, key, value.copy())
        copy.copied_from = self.name
        if with_ctx:
            copy.ctx = SimpleNamespace(**vars(self.ctx))
        return copy

    @staticmethod
    def group(
        *blueprints: Blueprint | BlueprintGroup | Sequence[Blueprint | BlueprintGroup],
        url_prefix: str | None = None,
        version: Version = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str | None = None,
    ) -> BlueprintGroup:
        """Several blueprints, or sequences of them, under one prefix; groups nest."""
        members: list[Blueprint | BlueprintGroup] = []
        for given in blueprints:
            members += [given] if isinstance(given, (Blueprint, BlueprintGroup)) else given
        return BlueprintGroup(
            members,
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
        """Wait until an event is dispatched to this blueprint or to an application that has it. Raises as `app.event`."""
        waiting = []
        for app in self.apps:
            app.finalise()
            must_exist = not app.config.EVENT_AUTOREGISTER
            found = app.signals.wait(event, timeout, condition, blueprint=self, must_exist=must_exist)
            waiting.append(asyncio.ensure_future(found))
        if not waiting:
            raise SignalNotFound(f"Could not find signal {event}: no application has the blueprint {self.name!r}")
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            values: dict[str, Any] = done.pop().result()
            return values
        finally:
            for future in waiting:
                future.cancel()

    def placements(self) -> Iterator[Placement]:
        """This blueprint on its own."""
        yield Placement(self, self.url_prefix, self.version, self.version_prefix, self.strict_slashes, self.name)


class BlueprintGroup(MutableSequence["Blueprint | BlueprintGroup"]):
    """Blueprints and groups that share a prefix, a version, and middleware; a sequence of them."""

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

    def __getitem__(self, index: Any) -> Any:
        return self.blueprints[index]

    def __setitem__(self, index: Any, blueprint: Any) -> None:
        self.blueprints[index] = blueprint

    def __delitem__(self, index: int | slice) -> None:
        del self.blueprints[index]

    def __len__(self) -> int:
        return len(self.blueprints)

    def insert(self, index: int, value: Blueprint | BlueprintGroup) -> None:
        """Add a blueprint or a group before another."""
        self.blueprints.insert(index, value)

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
