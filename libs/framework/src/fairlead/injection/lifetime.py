"""A lifetime: the dependencies that were made for one request, or for the worker, and what is to be done when it ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fairlead.injection.providers import Provider, Scope
from fairlead.request import Request


class Lifetime:
    """Makes each dependency once. `close` tears down in reverse order.

    What lives longer is had from `outer`; `overrides` are looked at first.
    """

    __slots__ = ("_exits", "_found", "_outer", "_overrides", "_request", "_scope")

    def __init__(
        self, scope: Scope, overrides: dict[Any, Any], outer: Lifetime | None = None, request: Request[Any, Any] | None = None
    ) -> None:
        self._scope = scope
        self._overrides = overrides
        self._request = request
        self._outer = outer
        self._found: dict[Any, Any] = {}
        self._exits: list[Callable[[Any, Any, Any], Any]] = []

    async def value(self, provider: Provider) -> Any:
        """The value of a dependency; what it needs is made before it."""
        kind = provider.kind
        if kind in self._overrides:
            return self._overrides[kind]
        if kind in self._found:
            return self._found[kind]
        if self._outer is not None and provider.scope != self._scope:
            return await self._outer.value(provider)
        arguments: dict[str, Any] = {name: await self.value(needed) for name, needed in provider.needs}
        request = self._request
        if request is not None:
            if "form" in provider.places:
                await request.receive_form()
            arguments.update((name, read(request)) for name, read in provider.reads)
            arguments.update((name, request.match_info[name]) for name in provider.path_names)
            arguments.update((name, request) for name in provider.request_names)
        made = provider.make(**arguments)
        if provider.is_async_context:
            entered, made = made, await made.__aenter__()
            self._exits.append(entered.__aexit__)
        elif provider.is_context:
            entered, made = made, made.__enter__()
            self._exits.append(entered.__exit__)
        elif inspect.isawaitable(made):
            made = await made
        self._found[kind] = made
        return made

    async def close(self, error: BaseException | None = None) -> None:
        """Tear down in reverse order; a generator sees the error at its `yield`.

        All of it is torn down, even if some of it fails or this is cancelled. Raises what a teardown raised, last of all.
        """
        first = error
        while self._exits:
            leave = self._exits.pop()
            try:
                result = leave(*_triple(error))
                if inspect.isawaitable(result):
                    await result
            except BaseException as exc:
                error = exc
        self._found.clear()
        if error is not None and error is not first:
            raise error


def _triple(exc: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if exc is None else (type(exc), exc, exc.__traceback__)
