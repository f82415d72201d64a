"""The injector: an application's dependencies, and the plans by which its handlers are called.

`bind` reads a handler's signature once, when the application is finalised, and gives the callable that `dispatch` uses:

- a handler that takes `(request, …path parameters in the path's order)` is given back as it is: nothing is added to its call;
- marked values alone cost one function that reads them, path parameters in another order one that passes them by name;
- with dependencies, or a form, it is a coroutine that makes them, calls the handler, and tears them down.

Dependencies come before marked values, because who may ask is the business of a dependency, and a stranger is to learn nothing
from validation. All marked values are read before the answer to bad ones is given, so that it lists everything that is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairlead.errors import ValidationFailed
from fairlead.injection.lifetime import Lifetime
from fairlead.injection.marks import Place
from fairlead.injection.opening import Opened
from fairlead.injection.providers import Dependency, Provider, Providers, name_of
from fairlead.injection.records import is_record
from fairlead.injection.signature import Parameter, parameters_of
from fairlead.injection.sources import Extract, reader_of
from fairlead.request import Request

_NOT_OVERRIDDEN: Any = object()


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler, ready to be called with `(request, *leading, *path values)`."""

    call: Callable[..., Any]
    is_async: bool
    places: frozenset[Place] = frozenset()
    """What of the request is read for it, for its decorators and for its dependencies."""


class Injector:
    """The dependencies of an application while it runs."""

    def __init__(self) -> None:
        self.providers = Providers()
        self.overrides: dict[Any, Any] = {}
        self._singletons = Lifetime("singleton", self.overrides)
        self._worker = Lifetime("worker", self.overrides, self._singletons)
        self._bindings: dict[tuple[int, tuple[str, ...], int, bool], Binding] = {}

    def add(self, dependency: Dependency) -> None:
        """Register a dependency. Raises ValueError for a second one of the same type."""
        self.providers.add(dependency)

    def prepare(self) -> None:
        """Look at every dependency. Raises TypeError for the first that can't be provided."""
        for _ in self.providers:
            pass

    async def open(self) -> None:
        """Make what lives as long as the worker or the application, in the order of registration."""
        try:
            for provider in self.providers:
                if provider.scope != "request":
                    await self._worker.value(provider)
        except BaseException as exc:
            await self._worker.close(exc)
            raise

    async def close(self) -> None:
        """Tear down what lives as long as the worker, in reverse order."""
        await self._worker.close()

    def lifetime(self, request: Request[Any, Any]) -> Lifetime:
        """The lifetime of one request's dependencies."""
        return Lifetime("request", self.overrides, self._worker, request)

    @contextmanager
    def override(self, kind: Any, value: Any) -> Iterator[None]:
        """Within the block, whoever asks for `kind` is given `value`. Raises LookupError for a type that nobody provides."""
        if kind not in self.providers:
            raise LookupError(f"there is no dependency of the type {name_of(kind)}")
        before = self.overrides.get(kind, _NOT_OVERRIDDEN)
        self.overrides[kind] = value
        try:
            yield
        finally:
            if before is _NOT_OVERRIDDEN:
                self.overrides.pop(kind, None)
            else:
                self.overrides[kind] = before

    # Binding

    def binding_of(self, handler: Callable[..., Any], names: tuple[str, ...], given: int = 1, *, opens: bool = False) -> Binding:
        """`bind`, once for each handler: for decorators that call what they decorate."""
        key = (id(handler), names, given, opens)  # a callable object may have no hash; its binding keeps it alive
        binding = self._bindings.get(key)
        if binding is None:
            binding = self._bindings[key] = self.bind(handler, names, given, opens=opens)
        return binding

    def bind(self, handler: Callable[..., Any], path_names: Sequence[str], given: int = 1, *, opens: bool = False) -> Binding:
        """The plan for a handler; `given` counts the leading arguments. With `opens` the second is a websocket's `Opening`.

        Raises TypeError when the handler can't take what the route gives, or asks for what nobody has.
        """
        inner = getattr(handler, "__fairlead_handler__", None)
        if inner is not None:  # it calls this later, by `call_handler`: errors are to show now
            names = (*path_names, *getattr(handler, "__fairlead_gives__", ()))
            below = self.binding_of(inner, names, given, opens=opens)
            places = _places(handler, getattr(handler, "__fairlead_parameters__", ()), below.places)
            if opens and not is_around(handler):  # somebody else's decorator wants a websocket that is open
                return Binding(_by_name(Opened(handler), tuple(path_names), (), given), True, places)
            return Binding(_by_name(handler, tuple(path_names), (), given), is_coroutine_handler(handler), places)
        parameters = parameters_of(handler)[given:]
        readers = {p.name: reader_of(p) for p in parameters if p.place is not None}
        needs = {p.name: self.providers.provider_of(p.kind) for p in parameters if p.place is None and p.kind in self.providers}
        used = _used_by(needs.values(), path_names)
        if any(p.place == "path" and p.name not in path_names for p in parameters):  # a record of the whole path
            used = frozenset(path_names)
        own = {p.name for p in parameters if p.name not in readers and p.name not in needs}
        taken = [name for name in path_names if name in own or name not in used | readers.keys() | needs.keys()]
        _check(handler, given, path_names, [*taken, *readers, *needs], parameters)
        places = _places(handler, parameters, *(provider.places for provider in needs.values()))
        is_async, target = (True, Opened(handler)) if opens else (is_coroutine_handler(handler), handler)
        if needs or "form" in places:
            call = _by_name(target, tuple(path_names), tuple(readers.items()), given, frozenset(taken))
            return Binding(self._with_lifetime(call, needs, reads_form="form" in places), True, places)
        if not readers and _takes_in_order(handler, path_names, given):
            return Binding(target, is_async)
        if len(readers) == 1 and not path_names and _takes_in_order(handler, list(readers), given):
            return Binding(_with_one(target, next(iter(readers.values())), given), is_async, places)
        return Binding(_by_name(target, tuple(path_names), tuple(readers.items()), given, frozenset(taken)), is_async, places)

    def _with_lifetime(self, call: Callable[..., Any], needs: dict[str, Provider], *, reads_form: bool) -> Callable[..., Any]:
        async def with_lifetime(request: Request[Any, Any], *values: Any) -> Any:
            lifetime = self.lifetime(request)
            try:
                found = {name: await lifetime.value(provider) for name, provider in needs.items()}
                if reads_form:
                    await request.receive_form()
                answer = call(request, *values, **found)
                if inspect.isawaitable(answer):
                    answer = await answer
            except BaseException as exc:
                await lifetime.close(exc)
                raise
            await lifetime.close()
            return answer

        return with_lifetime


def _check(
    handler: Callable[..., Any], given: int, path_names: Sequence[str], names: Sequence[str], parameters: Sequence[Parameter]
) -> None:
    try:
        inspect.signature(handler).bind(*[None] * given, **dict.fromkeys(names))
    except TypeError as exc:
        unknown = [f"{p.name}: {_shown(p)}" for p in parameters if p.is_required and p.name not in names]
        hint = f"; nobody provides {', '.join(unknown)}" if unknown else ""
        raise TypeError(
            f"the handler {_called(handler)} can't be called with ({', '.join(['request', *path_names])}): {exc}{hint}"
        ) from None
    for p in parameters:
        if p.place == "path" and p.name not in path_names and not is_record(p.kind):
            raise TypeError(f"the handler {_called(handler)} asks for {p.name!r}, which its path hasn't")


def _places(handler: Callable[..., Any], parameters: Sequence[Parameter], *others: Collection[Place]) -> frozenset[Place]:
    """All places that are read. Raises TypeError for a body that is to be JSON and a form at once."""
    own = frozenset(parameter.place for parameter in parameters if parameter.place is not None)
    places = own.union(*others)
    if places >= {"body", "form"}:
        raise TypeError(f"the handler {_called(handler)} asks for a JSON body and for a form: a request has one of them")
    return places


def _shown(parameter: Parameter) -> str:
    if isinstance(parameter.kind, str):
        return f"{parameter.kind} (which is imported for type checkers only)"
    return name_of(parameter.kind)


def _called(handler: Callable[..., Any]) -> str:
    return str(getattr(handler, "__qualname__", repr(handler)))


def _used_by(providers: Iterable[Provider], path_names: Sequence[str]) -> frozenset[str]:
    """The path parameters that dependencies ask for. Raises TypeError for one that the path hasn't."""
    used: set[str] = set()
    for provider in providers:
        missing = [name for name in provider.path_names if name not in path_names]
        if missing:
            raise TypeError(f"the dependency {name_of(provider.kind)} needs {', '.join(missing)}: no dependency, not in the path")
        used |= {*provider.path_names, *_used_by((needed for _, needed in provider.needs), path_names)}
    return frozenset(used)


def _takes_in_order(handler: Callable[..., Any], names: Sequence[str], given: int) -> bool:
    positional = [
        parameter.name
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    return positional[given : given + len(names)] == list(names)


def _with_one(handler: Callable[..., Any], read: Extract, given: int) -> Callable[..., Any]:
    if given == 1:
        return lambda request: handler(request, read(request))
    return lambda request, *leading: handler(request, *leading, read(request))


def _by_name(
    handler: Callable[..., Any],
    path_names: tuple[str, ...],
    readers: tuple[tuple[str, Extract], ...],
    given: int,
    taken: frozenset[str] | None = None,
) -> Callable[..., Any]:
    left_out = () if taken is None else tuple(name for name in path_names if name not in taken)

    def call(request: Request[Any, Any], *values: Any, **found: Any) -> Any:
        named = dict(zip(path_names, values[given - 1 :], strict=True))
        for name in left_out:
            del named[name]
        named.update(found)
        if readers:
            named.update(read_all(request, readers))
        return handler(request, *values[: given - 1], **named)

    return call


def read_all(request: Request[Any, Any], readers: tuple[tuple[str, Extract], ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name, read in readers:
        try:
            found[name] = read(request)
        except ValidationFailed as exc:
            errors += exc.errors
    if errors:
        raise ValidationFailed(errors)
    return found


def is_around(handler: Callable[..., Any]) -> bool:
    """Whether this is a decorator's function of ours, and not one that has copied its attributes."""
    return getattr(handler, "__fairlead_owner__", None) == id(handler)


def is_coroutine_handler(handler: Callable[..., Any]) -> bool:
    """Whether calling it always gives a coroutine; a plain function that may return one is asked for its result instead."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
