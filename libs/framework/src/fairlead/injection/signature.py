"""What a function asks for, read from its signature and annotations; the one reading that calls, checks and OpenAPI share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fairlead.injection.marks import Place, Source
from fairlead.injection.records import NO_DEFAULT

_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a handler or a provider. `place` is None unless its annotation is marked."""

    name: str
    kind: Any
    place: Place | None = None
    default: Any = NO_DEFAULT

    @property
    def is_required(self) -> bool:
        """Whether the function can't be called without it."""
        return self.default is NO_DEFAULT


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, class or callable object. One that can't be resolved stays the text that it is."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        function = vars(function).get("__init__", function)
    elif not inspect.isroutine(function):
        function = getattr(function, "__call__")  # noqa: B004, B009 - a callable object
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        names = getattr(inspect.unwrap(function), "__globals__", {})
        return {name: _resolve(hint, names) for name, hint in inspect.get_annotations(function).items()}


def _resolve(hint: Any, names: dict[str, Any]) -> Any:
    try:
        return eval(hint, names) if isinstance(hint, str) else hint
    except Exception:  # imported for type checkers only, most likely
        return hint


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The parameters of a function that can be given by name, in their order."""
    hints = hints_of(inspect.unwrap(function))
    return tuple(
        _parameter(parameter, hints.get(parameter.name, Any))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in _NAMED
    )


def _parameter(parameter: inspect.Parameter, hint: Any) -> Parameter:
    default = NO_DEFAULT if parameter.default is parameter.empty else parameter.default
    if get_origin(hint) is Annotated:
        plain, *metadata = get_args(hint)
        for mark in metadata:
            if isinstance(mark, Source):
                rest = [other for other in metadata if other is not mark]
                return Parameter(parameter.name, Annotated[plain, *rest] if rest else plain, mark.place, default)
    return Parameter(parameter.name, hint, None, default)


def innermost(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The function that was written, inside all that decorators have put around it."""
    while (inner := getattr(handler, "__fairlead_handler__", None) or getattr(handler, "__wrapped__", None)) is not None:
        handler = inner
    return handler
