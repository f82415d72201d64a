"""Class-based views: one class for a path, a method for each HTTP method.

    class Items(HTTPMethodView, attach=app, uri="/items/<id:int>"):
        decorators = [limited]

        async def get(self, request, id): ...
        async def put(self, request, id, body: Body[Item]): ...

Each request has an instance of its own. When the view is registered, every method becomes a route: so each has its own injected
parameters, its own `@stream`, its own decorators and extensions, and what the class doesn't have is 405. HEAD is answered by `get`.
Rejected: one route whose handler looks for the method, as in Sanic; what is settled by a signature would be settled per request.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from fairlead.records import HTTP_METHODS, View
from fairlead.registrar import Registrar

F = TypeVar("F", bound=Callable[..., Any])


def stream(handler: F) -> F:
    """Decorator: the handler reads the body itself, piece by piece, from `request.stream`."""
    handler.is_stream = True  # type: ignore[attr-defined]
    return handler


class HTTPMethodView:
    """Subclass it with methods `get`, `post`, `put`, `patch`, `delete`, `head`, `options`, plain or async.

    `attach` and `uri`, with the options of `add_route`, register the subclass where it is defined.
    """

    decorators: ClassVar[Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]]] = ()
    """Applied to each method, the first one innermost."""

    def __init_subclass__(cls, attach: Registrar | None = None, uri: str = "", **options: Any) -> None:
        super().__init_subclass__()
        if attach is not None:
            cls.attach(attach, uri, **options)
        elif uri or options:
            raise TypeError(f"{cls.__name__}: {', '.join(['uri'] * bool(uri) + list(options))} without attach")

    def dispatch_request(self, request: Any, *values: Any, **named: Any) -> Any:
        """Call the method for the request; a subclass may do something around it."""
        method = request.method.lower()
        handler = getattr(self, method, None) or getattr(self, "get" if method == "head" else method)
        return handler(request, *values, **named)

    @classmethod
    def as_view(cls, *arguments: Any, **named: Any) -> View:
        """What `add_route` takes; the arguments are given to the class for each request."""
        handlers = {
            method: cls._handler(method.lower(), functools.partial(cls, *arguments, **named))
            for method in HTTP_METHODS
            if callable(getattr(cls, method.lower(), None))
        }
        return View(cls, handlers)

    @classmethod
    def attach(cls, to: Registrar, uri: str, methods: Iterable[str] | None = None, **options: Any) -> None:
        """Register the view with an application or a blueprint; options as for `add_route`.

        It answers the methods that it has, or those of them that are named.
        """
        to.add_route(cls.as_view(), uri, methods, **options)

    @classmethod
    def _handler(cls, name: str, make: Callable[[], HTTPMethodView]) -> Callable[..., Any]:
        """A function for one method, with that method's signature without `self`, decorated."""
        method = getattr(cls, name)

        def call(request: Any, *values: Any, **named: Any) -> Any:
            return make().dispatch_request(request, *values, **named)

        handler: Callable[..., Any] = functools.wraps(method)(call)
        if not isinstance(inspect.getattr_static(cls, name), (staticmethod, classmethod)):
            signature = inspect.signature(method)
            handler.__signature__ = signature.replace(  # type: ignore[attr-defined]
                parameters=list(signature.parameters.values())[1:]
            )
        for decorator in cls.decorators:
            handler = decorator(handler)
        return handler
